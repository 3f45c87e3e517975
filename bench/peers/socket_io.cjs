// Socket.IO on Node.js: a topic is a room. With the argument "recovery" it has connection state
// recovery with the in-memory adapter, https://socket.io/docs/v4/connection-state-recovery
// With BENCH_REDIS in the environment it has the Redis adapter, so that several are one:
// https://socket.io/docs/v4/redis-adapter
"use strict";

const { createServer } = require("http");
const { Server } = require("socket.io");

const HOUR = 3_600_000;
const [port, recovery] = process.argv.slice(2);

function redisAdapter(address) {
  const { createAdapter } = require("@socket.io/redis-adapter");
  const { Redis } = require("ioredis");
  const client = new Redis(address.replace("unix://", ""));
  return createAdapter(client, client.duplicate());
}

const now = () => new Date().toISOString();

const ack = ({ request_id, topic }) => ({ type: "ack", request_id, topic, status: "ok", ts: now() });

const http = createServer((request, response) => response.end("ok"));

const server = new Server(http, {
  transports: ["websocket"],
  pingInterval: HOUR,
  perMessageDeflate: false,
  serveClient: false,
  ...(process.env.BENCH_REDIS && { adapter: redisAdapter(process.env.BENCH_REDIS) }),
  ...(recovery && { connectionStateRecovery: { maxDisconnectionDuration: HOUR } }),
});

server.on("connection", (client) => {
  client.on("subscribe", (command, reply) => {
    client.join(command.topic);
    reply(ack(command));
  });
  client.on("publish", (command, reply) => {
    const { topic, message } = command;
    client.to(topic).emit("event", { type: "event", topic, message, ts: now() });
    reply(ack(command));
  });
  client.on("ping", (command, reply) => reply(ack(command)));
});

http.listen(Number(port), "127.0.0.1");
