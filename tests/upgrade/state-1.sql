-- SPDX-License-Identifier: Apache-2.0
-- state.db as format 1 wrote it: a namespace, a ConfigMap that was changed once, one that was deleted.
PRAGMA auto_vacuum=INCREMENTAL;
PRAGMA journal_mode=WAL;
BEGIN;
CREATE TABLE meta(k TEXT PRIMARY KEY, v) WITHOUT ROWID;
CREATE TABLE res(id INTEGER PRIMARY KEY AUTOINCREMENT, grp TEXT NOT NULL, plural TEXT NOT NULL, UNIQUE(grp, plural));
CREATE TABLE obj(id INTEGER PRIMARY KEY, res INTEGER NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL, rv INTEGER NOT NULL,
  mtime INTEGER NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX obj_key ON obj(res, ns, name);
CREATE TABLE log(rv INTEGER PRIMARY KEY, res INTEGER NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL, op INTEGER NOT NULL,
  ts INTEGER NOT NULL, body BLOB, prev BLOB);
INSERT INTO meta VALUES('rv', 217665000005), ('compacted', 217665000000);
INSERT INTO res VALUES(1, '', 'namespaces'), (2, '', 'configmaps');
INSERT INTO obj VALUES(1, 1, '', 'default', 217665000001, 1795242000000000000, CAST(
  '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"default","uid":"5c3c5a4e-6b1f-4d4f-8a59-0a7a4f1f2b01","creationTimestamp":"2026-11-21T09:00:00Z","labels":{"kubernetes.io/metadata.name":"default"}},"spec":{"finalizers":["kubernetes"]},"status":{"phase":"Active"}}' AS BLOB));
INSERT INTO obj VALUES(2, 2, 'default', 'kept', 217665000003, 1795242001000000000, CAST(
  '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"kept","namespace":"default","uid":"5c3c5a4e-6b1f-4d4f-8a59-0a7a4f1f2b02","creationTimestamp":"2026-11-21T09:00:00Z"},"data":{"k":"v1"}}' AS BLOB));
INSERT INTO log SELECT rv, res, ns, name, 0, mtime, body, NULL FROM obj WHERE id = 1;
INSERT INTO log SELECT rv - 1, res, ns, name, 0, mtime, CAST(replace(body, 'v1"}', 'v0"}') AS BLOB), NULL FROM obj WHERE id = 2;
INSERT INTO log SELECT rv, res, ns, name, 1, mtime, body, NULL FROM obj WHERE id = 2;
INSERT INTO log SELECT rv + 1, res, ns, 'gone', 0, mtime, CAST(replace(replace(body, 'kept', 'gone'), '2b02', '2b03') AS BLOB), NULL FROM obj WHERE id = 2;
INSERT INTO log SELECT rv + 2, res, ns, 'gone', 2, mtime, CAST(replace(replace(body, 'kept', 'gone'), '2b02', '2b03') AS BLOB), NULL FROM obj WHERE id = 2;
PRAGMA application_id=1097687635;
PRAGMA user_version=1;
COMMIT;
