// SPDX-License-Identifier: Apache-2.0

// The cases of ../library.py with the official JavaScript library: client.mjs CASE.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import * as k8s from '@kubernetes/client-node';

const namespace = process.env.NAMESPACE;
const gadgets = { group: 'clients.example.com', version: 'v1', namespace, plural: 'gadgets' };
const kc = new k8s.KubeConfig();
kc.loadFromDefault();
const core = kc.makeApiClient(k8s.CoreV1Api);
const custom = kc.makeApiClient(k8s.CustomObjectsApi);

const say = (...words) => console.log(words.join(' '));
const as = (strategy) => k8s.setHeaderOptions('Content-Type', strategy);
const metadata = (name, app) => ({ name, labels: app ? { app } : undefined });
const gadget = (name, spec) => ({ apiVersion: 'clients.example.com/v1', kind: 'Gadget', metadata: { name }, spec });

async function refused(word, promise, more = () => []) {
  try {
    await promise;
  } catch (e) {
    if (!(e instanceof k8s.ApiException)) throw e;
    const status = typeof e.body === 'string' ? JSON.parse(e.body) : e.body;
    say(word, e.code, status.reason, ...more(status));
    return;
  }
  say(word, 'was not refused');
}

async function crud() {
  const body = { metadata: metadata('crud', 'crud'), data: { k: 'one' } };
  await core.createNamespacedConfigMap({ namespace, body });
  const old = await core.readNamespacedConfigMap({ namespace, name: 'crud' });
  if (old.data.k !== 'one' || !(old.metadata.creationTimestamp instanceof Date)) throw new Error(JSON.stringify(old));
  await core.replaceNamespacedConfigMap({ namespace, name: 'crud', body: { ...old, data: { k: 'two' } } });
  await refused('conflict', core.replaceNamespacedConfigMap({ namespace, name: 'crud', body: { ...old, data: { k: 'three' } } }));
  const secret = { metadata: metadata('crud', 'crud'), data: { b: Buffer.from([0, 255]).toString('base64') } };
  await core.createNamespacedSecret({ namespace, body: secret });
  const found = (await core.listNamespacedSecret({ namespace, labelSelector: 'app=crud' })).items;
  say('listed', found.length);
  say('bytes', Buffer.from(found[0].data.b, 'base64').toString('hex'));
  await core.deleteNamespacedSecret({ namespace, name: 'crud' });
  await refused('missing', core.readNamespacedSecret({ namespace, name: 'crud' }));
  await refused('exists', core.createNamespacedConfigMap({ namespace, body }));
}

async function patch() {
  await core.createNamespacedConfigMap({ namespace, body: { metadata: metadata('patched'), data: { stays: '1', goes: 'x' } } });
  const patched = { namespace, name: 'patched' };
  await core.patchNamespacedConfigMap({ ...patched, body: [{ op: 'add', path: '/data/json', value: '2' }] },
    as(k8s.PatchStrategy.JsonPatch));
  await core.patchNamespacedConfigMap({ ...patched, body: { data: { goes: null, merge: '3' } } },
    as(k8s.PatchStrategy.MergePatch));
  const ports = [{ name: 'http', port: 80 }, { name: 'https', port: 443 }];
  await core.createNamespacedService({ namespace, body: { metadata: metadata('patched'), spec: { ports } } });
  await core.patchNamespacedService({ ...patched, body: { spec: { ports: [{ port: 443, name: 'tls' }] } } },
    as(k8s.PatchStrategy.StrategicMergePatch));
  const apply = (fieldManager, data, force) => core.patchNamespacedConfigMap({ namespace, name: 'applied', fieldManager, force,
    body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'applied' }, data } }, as(k8s.PatchStrategy.ServerSideApply));
  await apply('first', { a: '1', b: '1' });
  await refused('conflict', apply('second', { a: '2' }));
  await apply('second', { a: '2' }, true);
  await custom.createNamespacedCustomObject({ ...gadgets, body: gadget('patched', {}) });
  await refused('unsupported', custom.patchNamespacedCustomObject({ ...gadgets, name: 'patched', body: { spec: { size: 1 } } },
    as(k8s.PatchStrategy.StrategicMergePatch)));
  await custom.deleteNamespacedCustomObject({ ...gadgets, name: 'patched' });
}

// The informer, which lists and then watches, and tells each change once.
async function watch() {
  const labelSelector = 'app=watched';
  const informer = k8s.makeInformer(kc, `/api/v1/namespaces/${namespace}/configmaps`,
    () => core.listNamespacedConfigMap({ namespace, labelSelector }), labelSelector);
  const words = { add: 'ADDED', update: 'MODIFIED', delete: 'DELETED' };
  const last = new Promise((resolve, reject) => {
    for (const [verb, word] of Object.entries(words)) {
      informer.on(verb, (o) => {
        say(word, o.metadata.name);
        if (o.metadata.name === 'last') resolve();
      });
    }
    informer.on('error', reject);
  });
  await informer.start();
  say('ready');
  await last;
  await informer.stop();
}

async function customObjects() {
  const one = { ...gadgets, name: 'one' };
  say('size', (await custom.createNamespacedCustomObject({ ...gadgets, body: gadget('one', {}) })).spec.size);
  await refused('invalid', custom.createNamespacedCustomObject({ ...gadgets, body: gadget('bad', { size: 1000 }) }),
    (status) => [status.details.causes[0].field]);
  await custom.patchNamespacedCustomObject({ ...one, body: { spec: { size: 5 } } }, as(k8s.PatchStrategy.MergePatch));
  await custom.patchNamespacedCustomObjectStatus({ ...one, body: { status: { replicas: 2 }, spec: { size: 9 } } },
    as(k8s.PatchStrategy.MergePatch));
  const scale = await custom.getNamespacedCustomObjectScale(one);
  scale.spec.replicas = 4;
  say('replicas', (await custom.replaceNamespacedCustomObjectScale({ ...one, body: scale })).spec.replicas);
  // This one finds the kind by discovery.
  const any = k8s.KubernetesObjectApi.makeApiClient(kc);
  const two = gadget('two', { size: 1 });
  two.metadata.namespace = namespace;
  await any.create(two);
  await any.delete(two, undefined, undefined, undefined, undefined, 'Background');
  say('listed', (await any.list('clients.example.com/v1', 'Gadget', namespace)).items.length);
}

async function pages() {
  const names = [];
  let more;
  do {
    const page = await core.listNamespacedConfigMap({ namespace, labelSelector: 'app=pages', limit: 3, _continue: more });
    say('page', page.items.length);
    names.push(...page.items.map((o) => o.metadata.name));
    more = page.metadata._continue;
  } while (more);
  say('names', ...names);
}

const many = () => core.deleteCollectionNamespacedConfigMap({ namespace, labelSelector: 'app=many' });

async function identity() {
  await core.createNamespacedServiceAccount({ namespace, body: { metadata: metadata('robot') } });
  const { status } = await core.createNamespacedServiceAccountToken({ namespace, name: 'robot',
    body: { spec: { audiences: [], expirationSeconds: 600 } } });
  const review = await kc.makeApiClient(k8s.AuthorizationV1Api).createSelfSubjectAccessReview({
    body: { spec: { resourceAttributes: { namespace, verb: 'create', resource: 'pods' } } } });
  say('allowed', review.status.allowed);
  const own = new k8s.KubeConfig();
  own.loadFromClusterAndUser(kc.getCurrentCluster(), { name: 'robot', token: status.token });
  await refused('denied', own.makeApiClient(k8s.CoreV1Api).listNamespacedPod({ namespace }));
  say('token', status.token);
}

async function discovery() {
  const v = await kc.makeApiClient(k8s.VersionApi).getCode();
  say('version', `${v.major}.${v.minor}`);
  const mine = await custom.getAPIResources({ group: gadgets.group, version: gadgets.version });
  const builtin = await core.getAPIResources();
  for (const [list, name] of [[mine, 'gadgets'], [builtin, 'namespaces']]) {
    const found = list.resources.find((x) => x.name === name);
    say(found.name, found.kind, found.namespaced);
  }
}

async function logs() {
  say('log', (await core.readNamespacedPodLog({ namespace, name: 'talks' })).trim().split(/\s+/).join(' '));
  const stream = new PassThrough();
  await new k8s.Log(kc).log(namespace, 'talks', 'c', stream, { follow: true, tailLines: 2 });
  let text = '';
  for await (const chunk of stream) text += chunk;
  for (const line of text.trim().split('\n')) say('line', line);
}

// The cases of tests/e2e/clients.py: exec, attach and cp.
class Sink extends PassThrough {
  text = '';
  constructor() { super(); this.on('data', (d) => { this.text += d; }); }
  line() { return new Promise((resolve) => this.on('data', () => { if (this.text.includes('\n')) resolve(this.text.trim()); })); }
}

function run(pod, command, input) {
  const out = new Sink(), err = new Sink();
  const stdin = input === undefined ? null : new PassThrough();
  const done = new Promise((resolve, reject) => {
    new k8s.Exec(kc).exec(namespace, pod, 'c', command, out, err, stdin, false,
      (status) => resolve({ out: out.text.trim(), err: err.text.trim(), status })).catch(reject);
  });
  if (stdin) stdin.end(input);
  return done;
}

const code = (status) => (status.status === 'Success' ? 0 : Number(status.details.causes.find((c) => c.reason === 'ExitCode').message));

async function commands() {
  let r = await run('box', ['sh', '-c', 'echo out; echo err >&2; exit 3']);
  say('exec', r.out, r.err, code(r.status));
  r = await run('box', ['sh', '-c', 'read x; echo got $x'], 'hello\n');
  say('stdin', r.out, code(r.status));
  r = await run('box', ['sh', '-c', "head -c 3000000 /dev/zero | tr '\\0' x"]);
  say('much', r.out.length);
  const out = new Sink(), stdin = new PassThrough();
  const ws = await new k8s.Attach(kc).attach(namespace, 'talks', 'c', out, out, stdin, false);
  stdin.write('hello\n');
  say('attach', await out.line());
  ws.close();
  const dir = mkdtempSync(join(tmpdir(), 'ambient-cp-'));
  writeFileSync(join(dir, 'there'), 'a file\n');
  // The library does not say when it is through, and cpFromPod (1.4) unpacks as tar what it had the pod compress.
  await new k8s.Cp(kc).cpToPod(namespace, 'box', 'c', dir, '/tmp');
  r = await run('box', ['sh', '-c', 'until [ -s /tmp/there ]; do sleep 0.05; done; cat /tmp/there']);
  say('copied', r.out);
  rmSync(dir, { recursive: true });
  try {
    await run('nobody', ['true']);
  } catch (e) {
    const text = String(e.message ?? e);
    say('missing', text.includes('404') ? '404' : text);
  }
  process.exit(0); // the library keeps its side of the attachment
}

const cases = { crud, patch, watch, custom: customObjects, pages, many, identity, discovery, logs, commands };
await cases[process.argv[2]]();
