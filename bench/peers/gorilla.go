// The chat room as a Go program: gorilla/websocket, and for each client a read pump, a write pump
// and a channel of 256 frames between them. An event that finds the channel full is dropped.
//
// It is a generous imitation: an event is encoded once for all its subscribers, and the payload is
// passed on unchanged.
package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

type message struct {
	ID      string          `json:"id"`
	Payload json.RawMessage `json:"payload"`
}

type command struct {
	Type      string   `json:"type"`
	Topic     string   `json:"topic"`
	Message   *message `json:"message"`
	RequestID string   `json:"request_id"`
}

type reply struct {
	Type      string   `json:"type"`
	RequestID string   `json:"request_id,omitempty"`
	Topic     string   `json:"topic,omitempty"`
	Message   *message `json:"message,omitempty"`
	Status    string   `json:"status,omitempty"`
	TS        string   `json:"ts"`
}

type client struct {
	conn   *websocket.Conn
	frames chan []byte
	done   chan struct{}
}

type topic struct {
	sync.RWMutex
	subscribers map[*client]struct{}
}

var (
	mutex    sync.RWMutex
	topics   = map[string]*topic{}
	upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
)

func now() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000Z07:00") }

func find(name string) *topic {
	mutex.RLock()
	found := topics[name]
	mutex.RUnlock()
	if found != nil {
		return found
	}
	mutex.Lock()
	defer mutex.Unlock()
	if topics[name] == nil {
		topics[name] = &topic{subscribers: map[*client]struct{}{}}
	}
	return topics[name]
}

func (t *topic) publish(name string, m *message, publisher *client) (count int) {
	event, _ := json.Marshal(reply{Type: "event", Topic: name, Message: m, TS: now()})
	t.RLock()
	defer t.RUnlock()
	for subscriber := range t.subscribers {
		if subscriber != publisher {
			count++
			select {
			case subscriber.frames <- event:
			default:
			}
		}
	}
	return count
}

func (c *client) writePump() {
	defer c.conn.Close()
	for {
		select {
		case frame := <-c.frames:
			if c.conn.WriteMessage(websocket.TextMessage, frame) != nil {
				return
			}
		case <-c.done:
			return
		}
	}
}

func (c *client) reply(r reply) {
	r.TS = now()
	frame, _ := json.Marshal(r)
	select {
	case c.frames <- frame:
	case <-c.done:
	}
}

func (c *client) readPump() {
	subscribed := map[string]*topic{}
	defer func() {
		for _, t := range subscribed {
			t.Lock()
			delete(t.subscribers, c)
			t.Unlock()
		}
		close(c.done)
	}()
	for {
		_, data, err := c.conn.ReadMessage()
		if err != nil {
			return
		}
		var cmd command
		if json.Unmarshal(data, &cmd) != nil {
			c.reply(reply{Type: "error"})
			continue
		}
		switch cmd.Type {
		case "subscribe":
			t := find(cmd.Topic)
			t.Lock()
			t.subscribers[c] = struct{}{}
			t.Unlock()
			subscribed[cmd.Topic] = t
		case "publish":
			find(cmd.Topic).publish(cmd.Topic, cmd.Message, c)
		}
		c.reply(reply{Type: "ack", RequestID: cmd.RequestID, Topic: cmd.Topic, Status: "ok"})
	}
}

func serveWebSocket(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	c := &client{conn: conn, frames: make(chan []byte, 256), done: make(chan struct{})}
	go c.writePump()
	c.readPump()
}

func servePublish(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/topics/"), "/messages")
	var m message
	if json.NewDecoder(r.Body).Decode(&m) != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	count := find(name).publish(name, &m, nil)
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"status": "published", "topic": name, "subscribers": count})
}

func main() {
	http.HandleFunc("/ws", serveWebSocket)
	http.HandleFunc("/topics/", servePublish)
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
