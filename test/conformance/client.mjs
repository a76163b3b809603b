// The official JavaScript client against a server: CRUD, every kind of patch, watch, informer, apply and, where a pod "box" runs, exec.
// node client.mjs KUBECONFIG [exec]; exit code 0 when everything held.
import * as k8s from '@kubernetes/client-node';
import assert from 'node:assert';
import stream from 'node:stream';

const kc = new k8s.KubeConfig();
kc.loadFromFile(process.argv[2]);
const core = kc.makeApiClient(k8s.CoreV1Api), apps = kc.makeApiClient(k8s.AppsV1Api), objects = k8s.KubernetesObjectApi.makeApiClient(kc);
const namespace = 'javascript';
let failures = 0;

async function test(name, f) {
  try {
    await f();
    console.log('ok', name);
  } catch (e) {
    failures++;
    console.log('FAILED', name, e.stack ?? e, e.body ?? '');
  }
}
async function refused(code, promise) {
  try {
    await promise;
  } catch (e) {
    assert.equal(e.code, code, e.stack);
    return e;
  }
  assert.fail('not refused');
}
async function until(what, f) {
  for (let i = 0; i < 300; i++) {
    if (await f()) return;
    await new Promise((r) => setTimeout(r, 100));
  }
  assert.fail('waited in vain: ' + what);
}
const map = (name, data) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace, labels: { t: 'js' } }, data });
const as = (type) => k8s.setHeaderOptions('Content-Type', type);

await test('crud', async () => {
  await core.createNamespace({ body: { metadata: { name: namespace } } });
  const made = await core.createNamespacedConfigMap({ namespace, body: map('m', { a: '1' }) });
  assert.ok(made.metadata.uid && made.metadata.creationTimestamp instanceof Date);
  await refused(409, core.createNamespacedConfigMap({ namespace, body: map('m', {}) }));
  made.data.b = '2';
  const newer = await core.replaceNamespacedConfigMap({ name: 'm', namespace, body: made });
  assert.deepEqual(newer.data, { a: '1', b: '2' });
  await refused(409, core.replaceNamespacedConfigMap({ name: 'm', namespace, body: made }));
  const gone = await core.deleteNamespacedConfigMap({ name: 'm', namespace });
  assert.equal(gone.status, 'Success');
  await refused(404, core.readNamespacedConfigMap({ name: 'm', namespace }));
});

await test('patches', async () => {
  await core.createNamespacedConfigMap({ namespace, body: map('p', { a: '1', b: '2' }) });
  let got = await core.patchNamespacedConfigMap({ name: 'p', namespace, body: [{ op: 'replace', path: '/data/a', value: '9' }] }, as(k8s.PatchStrategy.JsonPatch));
  assert.equal(got.data.a, '9');
  got = await core.patchNamespacedConfigMap({ name: 'p', namespace, body: { data: { a: null } } }, as(k8s.PatchStrategy.MergePatch));
  assert.deepEqual(got.data, { b: '2' });
  got = await core.patchNamespacedConfigMap({ name: 'p', namespace, body: { data: { c: '3' } } }, as(k8s.PatchStrategy.StrategicMergePatch));
  assert.deepEqual(got.data, { b: '2', c: '3' });
  got = await core.patchNamespacedConfigMap({ name: 'p', namespace, fieldManager: 'js', body: map('p', { d: '4' }) }, as(k8s.PatchStrategy.ServerSideApply));
  assert.equal(got.data.d, '4');
  const conflict = await refused(409, core.patchNamespacedConfigMap({ name: 'p', namespace, fieldManager: 'other', body: map('p', { d: '5' }) }, as(k8s.PatchStrategy.ServerSideApply)));
  assert.match(JSON.stringify(conflict.body), /FieldManagerConflict/);
  got = await core.patchNamespacedConfigMap({ name: 'p', namespace, fieldManager: 'other', force: true, body: map('p', { d: '5' }) }, as(k8s.PatchStrategy.ServerSideApply));
  assert.equal(got.data.d, '5');
});

await test('objects of any kind', async () => {
  const made = await objects.create(map('any', { a: '1' }));
  assert.equal(made.data.a, '1');
  const got = await objects.read(map('any'));
  assert.equal(got.metadata.uid, made.metadata.uid);
  await objects.patch(map('any', { b: '2' }), undefined, undefined, 'js', true, k8s.PatchStrategy.ServerSideApply);
  assert.ok((await objects.list('v1', 'ConfigMap', namespace)).items.some((i) => i.metadata.name === 'any'));
  await objects.delete(map('any'));
});

await test('a deployment', async () => {
  const labels = { app: 'web' };
  const body = { metadata: { name: 'web' }, spec: { replicas: 0, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } } } };
  await apps.createNamespacedDeployment({ namespace, body });
  await until('its status', async () => (await apps.readNamespacedDeployment({ name: 'web', namespace })).status?.observedGeneration === 1);
  const scale = await apps.patchNamespacedDeploymentScale({ name: 'web', namespace, body: { spec: { replicas: 1 } } }, as(k8s.PatchStrategy.MergePatch));
  assert.equal(scale.spec.replicas, 1);
  await until('a pod', async () => (await core.listNamespacedPod({ namespace, labelSelector: 'app=web' })).items.length === 1);
  await apps.deleteNamespacedDeployment({ name: 'web', namespace, propagationPolicy: 'Foreground' });
  await until('the pod goes', async () => (await core.listNamespacedPod({ namespace, labelSelector: 'app=web' })).items.length === 0);
});

await test('watch', async () => {
  const seen = [];
  const begin = (await core.listNamespacedConfigMap({ namespace })).metadata.resourceVersion;
  const controller = await new k8s.Watch(kc).watch(`/api/v1/namespaces/${namespace}/configmaps`, { resourceVersion: begin, allowWatchBookmarks: true }, (type, o) => seen.push(`${type} ${o.metadata.name}`), () => {});
  await core.createNamespacedConfigMap({ namespace, body: map('w', {}) });
  await core.deleteNamespacedConfigMap({ namespace, name: 'w' });
  await until('events', () => seen.length >= 2);
  controller.abort();
  assert.deepEqual(seen, ['ADDED w', 'DELETED w']);
});

await test('informer', async () => {
  const informer = k8s.makeInformer(kc, `/api/v1/namespaces/${namespace}/configmaps`, () => core.listNamespacedConfigMap({ namespace, labelSelector: 'i=1' }), 'i=1');
  const seen = [];
  for (const type of ['add', 'update', 'delete']) informer.on(type, (o) => seen.push(`${type} ${o.metadata.name} ${o.data?.v}`));
  informer.on('error', (e) => console.log('informer', e.message));
  const body = map('i', { v: '0' });
  body.metadata.labels = { i: '1' };
  await core.createNamespacedConfigMap({ namespace, body });
  await informer.start();
  await until('it is listed', () => seen.includes('add i 0'));
  await core.patchNamespacedConfigMap({ name: 'i', namespace, body: { data: { v: '1' } } }, as(k8s.PatchStrategy.MergePatch));
  await until('it changes', () => seen.includes('update i 1'));
  assert.equal(informer.get('i', namespace).data.v, '1');
  await core.deleteNamespacedConfigMap({ name: 'i', namespace });
  await until('it goes', () => seen.some((s) => s.startsWith('delete i')));
  await informer.stop();
});

if (process.argv[3] === 'exec')
  await test('exec', async () => {
    let out = '', err = '', status;
    const sink = (take) => new stream.Writable({ write(chunk, _, done) { take(chunk.toString()); done(); } });
    await new k8s.Exec(kc).exec('default', 'box', 'main', ['sh', '-c', 'read x; echo got $x; echo oops >&2; exit 3'], sink((t) => (out += t)), sink((t) => (err += t)), stream.Readable.from(['hello\n']), false, (s) => (status = s));
    await until('the command ends', () => status !== undefined);
    assert.equal(out, 'got hello\n');
    assert.equal(err, 'oops\n');
    assert.equal(status.status, 'Failure');
    assert.equal(status.details.causes.find((c) => c.reason === 'ExitCode').message, '3');
  });

await test('the namespace goes', async () => {
  await core.deleteNamespace({ name: namespace });
  await until('it is gone', () => core.readNamespace({ name: namespace }).then(() => false, (e) => e.code === 404));
});
process.exit(failures ? 1 : 0);
