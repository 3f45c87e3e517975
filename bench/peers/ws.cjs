// Node.js and the package ws: an event is written as JSON once, and sent to each subscriber.
"use strict";

const { WebSocketServer } = require("ws");

const topics = new Map();

function subscribersOf(topic) {
  if (!topics.has(topic)) topics.set(topic, new Set());
  return topics.get(topic);
}

const now = () => new Date().toISOString();

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  perMessageDeflate: process.argv[3] === "deflate" ? { threshold: 1024 } : false,
  clientTracking: false,
});

server.on("connection", (client) => {
  const subscribed = new Set();
  client.on("message", (data) => {
    const { type, topic, message, request_id } = JSON.parse(data);
    if (type === "subscribe") {
      subscribersOf(topic).add(client);
      subscribed.add(topic);
    } else if (type === "publish") {
      // A Buffer: a string would be encoded again for every subscriber.
      const event = Buffer.from(JSON.stringify({ type: "event", topic, message, ts: now() }));
      for (const subscriber of subscribersOf(topic)) {
        if (subscriber !== client) subscriber.send(event, { binary: false });
      }
    }
    client.send(JSON.stringify({ type: "ack", request_id, topic, status: "ok", ts: now() }));
  });
  client.on("error", () => {});
  client.on("close", () => {
    for (const topic of subscribed) subscribersOf(topic).delete(client);
  });
});
