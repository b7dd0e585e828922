// SPDX-License-Identifier: Apache-2.0

//! The work of tests/bench/peers with kube-rs: a controller of AgenticSessions, with a cache that leaves managed fields
//! out, as kube's guide advises.  doc/bench.md says what it prints.
use std::collections::HashSet;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, Client, CustomResource, ResourceExt};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Repo {
    url: String,
    branch: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct LlmSettings {
    model: Option<String>,
    temperature: Option<f64>,
    max_tokens: Option<i64>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct UserContext {
    user_id: Option<String>,
    display_name: Option<String>,
    groups: Option<Vec<String>>,
}

#[derive(CustomResource, Clone, Debug, Deserialize, Serialize)]
#[kube(group = "vteam.ambient-code", version = "v1alpha1", kind = "AgenticSession", namespaced)]
#[kube(status = "Status", schema = "disabled")]
#[serde(rename_all = "camelCase")]
struct Spec {
    initial_prompt: Option<String>,
    repos: Option<Vec<Repo>>,
    interactive: Option<bool>,
    timeout: Option<i64>,
    llm_settings: Option<LlmSettings>,
    user_context: Option<UserContext>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    phase: Option<String>,
    start_time: Option<String>,
    job_name: Option<String>,
    message: Option<String>,
    conditions: Option<Vec<Condition>>,
}

struct Bench {
    client: Client,
    objects: usize,
    target: String,
    synced: AtomicBool, // reconciles begin when the store is full
    seen: Mutex<(HashSet<String>, HashSet<String>)>,
}

fn say(line: std::fmt::Arguments) {
    let _ = writeln!(std::io::stdout().lock(), "bench {line}");
}

/// Counts a name in a set; says so when they are all there.
fn count(set: &mut HashSet<String>, bench: &Bench, name: &str, what: &str) {
    if bench.objects > 0 && set.len() < bench.objects && set.insert(name.to_string()) && set.len() == bench.objects {
        say(format_args!("{what}"));
    }
}

async fn reconcile(session: Arc<AgenticSession>, bench: Arc<Bench>) -> Result<Action, kube::Error> {
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let name = session.name_any();
    if let Some(stamp) = session.annotations().get("bench/stamp") {
        say(format_args!("start {stamp} {began}"));
    }
    if !bench.synced.swap(true, Ordering::Relaxed) {
        say(format_args!("synced"));
    }
    count(&mut bench.seen.lock().unwrap().0, &bench, &name, "reconciled");
    if bench.target.is_empty() {
        return Ok(Action::await_change());
    }
    if session.status.as_ref().and_then(|s| s.message.as_deref()) == Some(&bench.target) {
        count(&mut bench.seen.lock().unwrap().1, &bench, &name, "converged");
        return Ok(Action::await_change());
    }
    let api: Api<AgenticSession> = Api::namespaced(bench.client.clone(), &session.namespace().unwrap_or_default());
    let patch = serde_json::json!({ "status": { "message": bench.target } });
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    Ok(Action::await_change())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let env = |name| std::env::var(name).unwrap_or_default();
    let workers: u16 = env("BENCH_WORKERS").parse()?;
    let client = Client::try_default().await?;
    let bench = Arc::new(Bench {
        client: client.clone(),
        objects: env("BENCH_OBJECTS").parse()?,
        target: env("BENCH_TARGET"),
        synced: AtomicBool::new(false),
        seen: Default::default(),
    });
    let (reader, writer) = reflector::store::<AgenticSession>();
    let sessions = watcher(
        Api::<AgenticSession>::all(client),
        watcher::Config::default().streaming_lists(),
    )
    .default_backoff()
    .modify(|session| session.managed_fields_mut().clear())
    .reflect(writer)
    .applied_objects();
    Controller::for_stream(sessions, reader)
        .with_config(Config::default().concurrency(workers))
        .run(
            reconcile,
            |_, error, _| {
                eprintln!("{error}");
                Action::requeue(Duration::from_secs(1))
            },
            bench,
        )
        .for_each(|done| async move {
            if let Err(error) = done {
                eprintln!("{error:?}");
            }
        })
        .await;
    Ok(())
}
