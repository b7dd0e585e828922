// SPDX-License-Identifier: Apache-2.0

//! The controller of ../controllers.py with kube-rs.

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::{finalizer, reflector, watcher};
use kube::{Client, CustomResource, Resource, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(group = "clients.example.com", version = "v1", kind = "Gadget", namespaced, status = "GadgetStatus")]
struct GadgetSpec {
    size: i64,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
struct GadgetStatus {
    replicas: Option<i64>,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Kube(#[from] kube::Error),
    #[error("the finalizer: {0}")]
    Finalizer(String),
}

const MANAGER: &str = "clients-rust";

struct Context {
    client: Client,
    namespace: String,
}

async fn keep(gadget: Arc<Gadget>, c: &Context) -> Result<Action, kube::Error> {
    let maps: Api<ConfigMap> = Api::namespaced(c.client.clone(), &c.namespace);
    let gadgets: Api<Gadget> = Api::namespaced(c.client.clone(), &c.namespace);
    let name = format!("{}-config", gadget.name_any());
    let apply = PatchParams::apply(MANAGER).force();
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            owner_references: gadget.controller_owner_ref(&()).map(|o| vec![o]),
            ..Default::default()
        },
        data: Some(BTreeMap::from([("size".into(), gadget.spec.size.to_string())])),
        ..Default::default()
    };
    maps.patch(&name, &apply, &Patch::Apply(&map)).await?;
    let status = json!({ "apiVersion": "clients.example.com/v1", "kind": "Gadget",
        "status": { "replicas": gadget.spec.size } });
    gadgets.patch_status(&gadget.name_any(), &apply, &Patch::Apply(&status)).await?;
    Ok(Action::await_change())
}

async fn end(gadget: Arc<Gadget>, c: &Context) -> Result<Action, kube::Error> {
    let maps: Api<ConfigMap> = Api::namespaced(c.client.clone(), &c.namespace);
    let mut gone = ConfigMap::default();
    gone.metadata.name = Some(format!("{}-gone", gadget.name_any()));
    match maps.create(&PostParams::default(), &gone).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Action::await_change()),
        other => other.map(|_| Action::await_change()),
    }
}

async fn reconcile(gadget: Arc<Gadget>, c: Arc<Context>) -> Result<Action, Failure> {
    let gadgets: Api<Gadget> = Api::namespaced(c.client.clone(), &c.namespace);
    finalizer(&gadgets, "clients.example.com/hold", gadget, |event| async {
        match event {
            finalizer::Event::Apply(gadget) => keep(gadget, &c).await,
            finalizer::Event::Cleanup(gadget) => end(gadget, &c).await,
        }
    })
    .await
    .map_err(|e| Failure::Finalizer(e.to_string()))
}

/// Whether a store says that it is ready, with both sorts of initial lists: of a reflector of one's own, then of a
/// controller, which waits for it too.  The library wakes only the task that polled last (one oneshot channel), so who
/// waits must do so in the task that runs the controller; in another one he may wait for ever.
async fn ready(client: Client, namespace: &str) -> Result<(), Failure> {
    let patience = Duration::from_secs(30);
    for (word, config) in [("lists", watcher::Config::default()), ("streams", watcher::Config::default().streaming_lists())] {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let (reader, writer) = reflector::store();
        let stream = reflector(writer, watcher(maps.clone(), config.clone())).for_each(|_| async {});
        let feeding = tokio::spawn(stream);
        let said = tokio::time::timeout(patience, reader.wait_until_ready()).await;
        println!("reflector {word} {} {}", if said.is_ok() { "ready" } else { "waits" }, reader.len());
        feeding.abort();
        let controller = Controller::new(maps.clone(), config.clone());
        let store = controller.store();
        let nothing = |_: Arc<ConfigMap>, _: Arc<()>| async { Ok::<_, Failure>(Action::await_change()) };
        let running = controller.run(nothing, |_, _: &Failure, _| Action::await_change(), Arc::new(()));
        let said = tokio::select! {
            r = tokio::time::timeout(patience, store.wait_until_ready()) => r.is_ok(),
            () = running.for_each(|_| async {}) => false,
        };
        println!("controller {word} {}", if said { "ready" } else { "waits" });
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let case = std::env::args().nth(1);
    if case.as_deref() == Some("ready") {
        return ready(Client::try_default().await?, &std::env::var("NAMESPACE").expect("NAMESPACE")).await;
    }
    assert_eq!(case.as_deref(), Some("controller"));
    let client = Client::try_default().await?;
    let namespace = std::env::var("NAMESPACE").expect("NAMESPACE");
    let gadgets: Api<Gadget> = Api::namespaced(client.clone(), &namespace);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    // Streamed lists for one of the two watches, pages for the other.
    let controller = Controller::new(gadgets, watcher::Config::default().streaming_lists())
        .owns(maps, watcher::Config::default().page_size(2))
        .shutdown_on_signal();
    println!("ready");
    controller
        .run(
            reconcile,
            |_, error, _| {
                eprintln!("{error}");
                Action::requeue(Duration::from_millis(500))
            },
            Arc::new(Context { client, namespace }),
        )
        .for_each(|_| async {})
        .await;
    Ok(())
}
