// A server on a unix socket that speaks as much of docker's API as fdspan asks for, and misbehaves when told to: no real
// daemon can be made to hang, to break off in the middle of an answer, or to give a container ten thousand labels.
import { createServer, type ServerResponse } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** What becomes of each request. */
export type EngineBehaviour = 'answer' | 'hang' | 'garbage' | 'half' | 'endless' | 'close';

export interface LookalikeContainer {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface EngineLookalike {
  readonly socketPath: string;
  /** Containers by their ids; may be changed at any time. */
  readonly containers: Map<string, LookalikeContainer>;
  behaviour: EngineBehaviour;
  /** How long each inspection takes. */
  delayMs: number;
  /** Inspections so far. */
  readonly inspections: string[];
  /** Inspections that are answered just now, and the most there were at once. */
  readonly atOnce: { now: number; max: number };
  /** Sends an event of this container to all who follow. */
  tell(id: string, action?: string): void;
  /** Resolves when somebody follows the events. */
  followed(): Promise<void>;
  close(): Promise<void>;
}

/** Starts it at `socketPath`, or in a folder of its own. */
export async function startEngineLookalike(socketPath?: string): Promise<EngineLookalike> {
  const path = socketPath ?? join(await mkdtemp(join(tmpdir(), 'fdspan-engine-')), 'docker.sock');
  const sockets = new Set<Socket>();
  const followers = new Set<ServerResponse>();
  const awaiting: (() => void)[] = [];
  const engine: EngineLookalike = {
    socketPath: path,
    containers: new Map(),
    behaviour: 'answer',
    delayMs: 0,
    inspections: [],
    atOnce: { now: 0, max: 0 },
    tell: (id, action = 'create') => {
      const event = { Type: 'container', Action: action, Actor: { ID: id } };
      for (const follower of followers) follower.write(`${JSON.stringify(event)}\n`);
    },
    followed: () =>
      new Promise((resolve) => {
        if (followers.size > 0) resolve();
        else awaiting.push(resolve);
      }),
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
      if (socketPath === undefined) await rm(dirname(path), { recursive: true, force: true });
    },
  };
  const server = createServer((request, response) => {
    const url = request.url ?? '';
    if (engine.behaviour !== 'answer') return misbehave(engine.behaviour, response);
    if (url === '/_ping') return void response.end('OK');
    if (url === '/version') return void response.end(JSON.stringify({ ApiVersion: '1.41', Version: '99.1' }));
    if (url.includes('/events')) {
      followers.add(response);
      response.on('close', () => followers.delete(response));
      response.writeHead(200).flushHeaders();
      for (const resolve of awaiting.splice(0)) resolve();
      return;
    }
    inspect(engine, /\/containers\/([^/]+)\/json/.exec(url)?.[1] ?? '', response);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return engine;
}

function inspect(engine: EngineLookalike, id: string, response: ServerResponse): void {
  engine.inspections.push(id);
  engine.atOnce.now += 1;
  engine.atOnce.max = Math.max(engine.atOnce.max, engine.atOnce.now);
  setTimeout(() => {
    engine.atOnce.now -= 1;
    const container = engine.containers.get(id);
    if (container === undefined)
      response.writeHead(404).end(JSON.stringify({ message: 'No such container' }));
    else {
      const { name, labels } = container;
      response.end(
        JSON.stringify({ Id: id, Name: `/${name}`, Config: { Image: 'shop:2', Labels: labels ?? {} } }),
      );
    }
  }, engine.delayMs);
}

function misbehave(behaviour: Exclude<EngineBehaviour, 'answer'>, response: ServerResponse): void {
  switch (behaviour) {
    case 'hang':
      return;
    case 'garbage':
      response.end(Buffer.from('\u001b[31m{"Id":\u0000\ufffd]]]', 'latin1'));
      return;
    case 'half':
      response.writeHead(200, { 'Content-Length': 1000 });
      response.write('{"Id":"');
      setTimeout(() => response.destroy(), 5);
      return;
    case 'endless': {
      const more = (): void => {
        while (!response.destroyed && response.write(' '.repeat(64 << 10)));
      };
      response.on('drain', more);
      more();
      return;
    }
    case 'close':
      response.socket?.destroy();
  }
}
