//! Kubernetes facts: what `kubectl get pods,events -o json` printed, as recorded in the bundle.

use serde::Deserialize;
use serde_json::Value;

use crate::evidence::{
    Event, EventKind, Time,
    bundle::{Bundle, shown},
    kube::{Cluster, PodTrouble, PodTroubleKind as Kind},
};

/// A listing, or one object.
#[derive(Deserialize)]
struct Listing {
    items: Vec<Value>,
}

/// Whether a text is a listing as kubectl prints it; else why not.
pub fn check(body: &[u8]) -> Result<(), String> {
    match serde_json::from_slice::<Listing>(body) {
        Ok(_) => Ok(()),
        Err(error) => {
            Err(format!("it is not what `kubectl get pods,events -o json` prints ({error})"))
        }
    }
}

/// The last listing in a bundle; `Err` says why it cannot be read.
pub(super) fn read(bundle: &Bundle) -> Option<Result<Cluster, String>> {
    let (at, body) = bundle.recorded("kube").last()?;
    let listing = serde_json::from_slice::<Listing>(body);
    Some(listing.map(|listing| cluster(at as f64 / 1e3, &listing.items)).map_err(|e| e.to_string()))
}

fn cluster(at: Time, items: &[Value]) -> Cluster {
    let of_kind = |kind: &'static str| items.iter().filter(move |item| item["kind"] == kind);
    let mut troubles: Vec<PodTrouble> = of_kind("Pod").flat_map(of_pod).collect();
    for event in of_kind("Event").filter_map(of_event) {
        let known = troubles.iter().any(|it| it.kind == event.kind && it.pod == event.pod);
        if !known || event.kind == Kind::ProbeFailed {
            troubles.push(event);
        }
    }
    troubles.sort_by(|a, b| a.at.unwrap_or(at).total_cmp(&b.at.unwrap_or(at)));
    Cluster { at, pods: of_kind("Pod").count(), troubles }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn time(value: &Value) -> Option<Time> {
    let at: jiff::Timestamp = value.as_str()?.parse().ok()?;
    Some(at.as_millisecond() as f64 / 1e3)
}

fn trouble(kind: Kind, pod: &str, at: Option<Time>, times: u64, says: &str) -> PodTrouble {
    PodTrouble { kind, pod: shown(pod).into_owned(), at, times, says: shown(says).into_owned() }
}

/// What the status of a pod and its containers tells.
fn of_pod(pod: &Value) -> Vec<PodTrouble> {
    let (name, status) = (text(&pod["metadata"]["name"]), &pod["status"]);
    let mut found = Vec::new();
    if status["reason"] == "Evicted" {
        found.push(trouble(Kind::Evicted, name, None, 1, text(&status["message"])));
    }
    let unschedulable = |it: &&Value| it["reason"] == "Unschedulable" && it["status"] == "False";
    let conditions = status["conditions"].as_array().into_iter().flatten();
    found.extend(conditions.filter(unschedulable).map(|it| {
        trouble(Kind::Unschedulable, name, time(&it["lastTransitionTime"]), 1, text(&it["message"]))
    }));
    for list in ["initContainerStatuses", "containerStatuses"] {
        let containers = status[list].as_array().into_iter().flatten();
        found.extend(containers.flat_map(|container| of_container(name, container)));
    }
    found
}

fn of_container(pod: &str, container: &Value) -> Vec<PodTrouble> {
    let restarts = container["restartCount"].as_u64().unwrap_or(0);
    let states = [&container["state"], &container["lastState"]];
    let ended = states.iter().map(|state| &state["terminated"]).find(|it| it.is_object());
    let mut found = Vec::new();
    if let Some(ended) = ended {
        let (at, reason) = (time(&ended["finishedAt"]), text(&ended["reason"]));
        let code = ended["exitCode"].as_i64().unwrap_or(0);
        let says = format!("{reason}, exit code {code}. {}", text(&ended["message"]));
        if reason == "OOMKilled" {
            found.push(trouble(Kind::OomKilled, pod, at, restarts.max(1), &says));
        } else if code != 0 {
            found.push(trouble(Kind::Crashed, pod, at, restarts.max(1), &says));
        }
    }
    let waiting = &container["state"]["waiting"];
    if let Some(kind) = waiting["reason"].as_str().and_then(of_waiting) {
        let says = format!("{}: {}", text(&waiting["reason"]), text(&waiting["message"]));
        found.push(trouble(kind, pod, None, 1, &says));
    }
    found
}

/// Why a container waits. `CrashLoopBackOff` tells no more than that it crashed.
fn of_waiting(reason: &str) -> Option<Kind> {
    match reason {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
            Some(Kind::ImagePull)
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Some(Kind::CannotStart)
        }
        _ => None,
    }
}

fn of_event(event: &Value) -> Option<PodTrouble> {
    let (object, message) = (&event["involvedObject"], text(&event["message"]));
    if object["kind"] != "Pod" {
        return None;
    }
    let kind = match text(&event["reason"]) {
        "FailedScheduling" => Kind::Unschedulable,
        "Unhealthy" => Kind::ProbeFailed,
        "Evicted" | "Preempted" => Kind::Evicted,
        "OOMKilling" => Kind::OomKilled,
        "FailedMount" | "FailedAttachVolume" | "FailedCreatePodSandBox" => Kind::CannotStart,
        "Failed" if message.contains("image") => Kind::ImagePull,
        "Failed" => Kind::CannotStart,
        _ => return None,
    };
    let at = ["lastTimestamp", "eventTime", "firstTimestamp"];
    let at = at.iter().find_map(|name| time(&event[*name]));
    let series = event["series"]["count"].as_u64();
    let times = event["count"].as_u64().or(series).unwrap_or(1);
    Some(trouble(kind, text(&object["name"]), at, times, message))
}

/// Moments for the timeline.
pub(super) fn events(cluster: &Cluster) -> Vec<Event> {
    let event = |it: &PodTrouble| {
        let at = it.at?;
        let times = if it.times > 1 { format!(" ({} times)", it.times) } else { String::new() };
        let says: String = it.says.chars().take(200).collect();
        let text = format!("pod {}: {}{times}", it.pod, says.trim_end());
        Some(Event { at, not_before: at, kind: EventKind::Pod, text, source: "kube" })
    };
    cluster.troubles.iter().filter_map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = r#"{"apiVersion":"v1","kind":"List","items":[
      {"kind":"Pod","metadata":{"name":"vllm-0"},"status":{"phase":"Running","containerStatuses":[
        {"name":"vllm","restartCount":3,"state":{"running":{"startedAt":"2026-11-21T23:50:00Z"}},
         "lastState":{"terminated":{"reason":"OOMKilled","exitCode":137,
           "finishedAt":"2026-11-21T23:49:58Z"}}}]}},
      {"kind":"Pod","metadata":{"name":"vllm-1"},"status":{"phase":"Pending","conditions":[
        {"type":"PodScheduled","status":"False","reason":"Unschedulable",
         "message":"0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
         "lastTransitionTime":"2026-11-21T23:40:00Z"}]}},
      {"kind":"Pod","metadata":{"name":"vllm-2"},"status":{"phase":"Pending","containerStatuses":[
        {"name":"vllm","restartCount":0,
         "state":{"waiting":{"reason":"ImagePullBackOff","message":"Back-off pulling image"}}}]}},
      {"kind":"Event","reason":"Unhealthy","count":12,"lastTimestamp":"2026-11-21T23:51:00Z",
       "message":"Readiness probe failed: HTTP probe failed with statuscode: 503",
       "involvedObject":{"kind":"Pod","name":"vllm-0"}},
      {"kind":"Event","reason":"Pulled","message":"ok","involvedObject":{"kind":"Pod","name":"x"}},
      {"kind":"Event","reason":"FailedScheduling","count":9,"message":"0/3 nodes",
       "involvedObject":{"kind":"Pod","name":"vllm-1"}}]}"#;

    #[test]
    fn restarts_scheduling_images_and_probes_are_read() {
        let mut bundle = Bundle::default();
        bundle.record("kube", 1_795_305_520_000, LISTING.into());
        let cluster = read(&bundle).unwrap().unwrap();
        let seen: Vec<_> =
            cluster.troubles.iter().map(|it| (it.kind, it.pod.as_str(), it.times)).collect();
        let wanted = [
            (Kind::Unschedulable, "vllm-1", 1),
            (Kind::OomKilled, "vllm-0", 3),
            (Kind::ProbeFailed, "vllm-0", 12),
            (Kind::ImagePull, "vllm-2", 1),
        ];
        assert_eq!(seen, wanted);
        assert_eq!((cluster.pods, events(&cluster).len()), (3, 3));
    }

    #[test]
    fn what_is_no_listing_says_so() {
        assert!(check(LISTING.as_bytes()).is_ok());
        assert!(check(b"{}").unwrap_err().contains("kubectl get pods,events -o json"));
        let mut bundle = Bundle::default();
        bundle.record("kube", 7, b"oops".to_vec());
        assert!(read(&bundle).unwrap().is_err());
    }
}
