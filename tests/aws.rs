//! The clients of AWS over sockets: what they ask, what they keep, and how each failure is told.
#![cfg(feature = "aws")]
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/aws/mod.rs"]
mod aws;
#[allow(dead_code)]
#[path = "support/cli.rs"]
mod cli;
#[path = "support/moto_server.rs"]
mod moto_server;
#[path = "support/tools.rs"]
mod tools;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use aws::{
    sample,
    stub::{Fault, Stub},
};
use cli::{Ran, diagnose, finish};
use moto_server::Moto;
use serde_json::{Value, json};
use tempfile::TempDir;
use tools::{free_port, tool};

/// What a run of `collect` left behind.
struct Collected {
    ran: Ran,
    folder: TempDir,
}

impl Collected {
    /// The one record.
    fn record(&self) -> Option<Value> {
        let entries = fs::read_dir(self.folder.path().join("bundle/aws")).ok()?;
        let files: Vec<_> = entries.map(|it| it.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "one record a run");
        Some(serde_json::from_slice(&fs::read(&files[0]).unwrap()).unwrap())
    }

    fn answers(&self, operation: &str) -> Vec<Value> {
        let record = self.record().unwrap_or_else(|| panic!("{}", self.ran.said()));
        let all = record["answers"].as_array().unwrap().clone();
        all.into_iter().filter(|it| it["operation"] == operation).collect()
    }

    fn log(&self) -> Option<String> {
        fs::read_to_string(self.folder.path().join("bundle/server.log")).ok()
    }

    /// Status and detail of a source.
    #[track_caller]
    fn status(&self, id: &str) -> (String, String) {
        let meta = fs::read(self.folder.path().join("bundle/meta.json")).unwrap();
        let meta: Value = serde_json::from_slice(&meta).unwrap();
        let of = |it: &Value| {
            let part = |name: &str| it[name].as_str().unwrap().to_owned();
            (part("status"), part("detail"))
        };
        let all = meta["sources"].as_array().unwrap();
        of(all.iter().find(|it| it["id"] == id).unwrap_or_else(|| panic!("no {id} in {all:?}")))
    }

    #[track_caller]
    fn assert_status(&self, id: &str, status: &str, words: &str) {
        let (was, detail) = self.status(id);
        assert!(was == status && detail.contains(words), "{id}: {was}: {detail}");
    }
}

/// Credentials and nothing else of a machine that is no part of AWS.
fn machine(folder: &Path) -> Command {
    let mut command = diagnose();
    command
        .current_dir(folder)
        .env("HOME", folder)
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    command
}

fn collect(url: &str, flags: &str) -> Collected {
    collect_with(url, flags, "")
}

fn collect_with(url: &str, flags: &str, settings: &str) -> Collected {
    let folder = tempfile::tempdir().unwrap();
    let settings = format!("[aws]\nendpoint_url = '{url}'\n{settings}");
    fs::write(folder.path().join("diagnose.toml"), settings).unwrap();
    let line = format!("collect --output bundle {flags}");
    let ran = finish(machine(folder.path()).args(cli::words(&line)));
    Collected { ran, folder }
}

const CHAT: &str = "--sagemaker chat --region eu-west-1";

/// The answers without the times that were asked for, which are those of the run.
fn timeless(record: &Value) -> Vec<Value> {
    let mut answers = record["answers"].as_array().unwrap().clone();
    for answer in &mut answers {
        let input = answer["input"].as_object_mut().unwrap();
        for name in ["StartTime", "EndTime", "StartDate", "EndDate", "ScanBy"] {
            input.remove(name);
        }
    }
    answers.sort_by_key(|it| format!("{}{}", it["operation"], it["input"]));
    answers
}

/// Puts a word in place of each token of a model's environment; says how many were replaced already.
fn without_tokens(record: &mut Value) -> usize {
    let models = record["answers"].as_array_mut().unwrap().iter_mut();
    let models = models.filter(|it| it["operation"] == "DescribeModel");
    let hidden = models.filter_map(|it| {
        let token = it.pointer_mut("/output/PrimaryContainer/Environment/HF_TOKEN")?;
        let replaced = token.as_str()?.starts_with("<secret:");
        *token = "token".into();
        Some(replaced)
    });
    hidden.filter(|replaced| *replaced).count()
}

#[test]
fn what_was_recorded_is_served_asked_and_recorded_again() {
    let mut expected = sample::record();
    let stub = Stub::serve(&expected);
    let collected = collect_with(&stub.url(), CHAT, "warm_pool_group = 'pool'\n");
    for id in ["sagemaker", "autoscaling", "cloudwatch"] {
        collected.assert_status(id, "ok", "from eu-west-1");
    }
    let mut record = collected.record().unwrap();
    assert_eq!(without_tokens(&mut record), 2, "the token of each model is replaced");
    assert_eq!(without_tokens(&mut expected), 0);
    assert_eq!(timeless(&record), timeless(&expected));
    let saved = fs::read_to_string(collected.folder.path().join("bundle/meta.json")).unwrap();
    assert!(!saved.contains("wJalrXUtn") && !record.to_string().contains("wJalrXUtn"));
}

#[test]
fn every_name_is_one_of_aws() {
    let stub = Stub::serve(&sample::record());
    let collected = collect_with(&stub.url(), CHAT, "warm_pool_group = 'pool'\n");
    let folder = tempfile::tempdir().unwrap();
    let (ours, samples) = (folder.path().join("ours.json"), folder.path().join("samples.json"));
    fs::write(&ours, collected.record().unwrap().to_string()).unwrap();
    fs::write(&samples, sample::record().to_string()).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checked = Command::new(tool("python-botocore"))
        .arg(root.join("scripts/check-aws-shapes"))
        .args([&ours, &samples])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{said}{}", String::from_utf8_lossy(&checked.stderr));
    fs::write(&ours, sample::record().to_string().replace("NotScaledReasons", "Reasons")).unwrap();
    let checked = Command::new(tool("python-botocore"))
        .arg(root.join("scripts/check-aws-shapes"))
        .arg(&ours)
        .output()
        .unwrap();
    assert!(!checked.status.success(), "a name that does not exist is found");
}

#[test]
fn only_what_is_wanted_is_asked() {
    let stub = Stub::serve(&sample::record());
    let gateway = collect(&stub.url(), "--cloudwatch --region eu-west-1");
    gateway.assert_status("cloudwatch", "ok", "");
    let names: Vec<_> = stub.asked().into_iter().map(|(name, _)| name).collect();
    assert!(
        names
            .iter()
            .all(|it| ["ListMetrics", "GetMetricData", "DescribeAlarms"].contains(&it.as_str())),
        "{names:?}"
    );
    let stub = Stub::serve(&sample::record());
    let few = collect(&stub.url(), &format!("{CHAT} --only autoscaling"));
    few.assert_status("autoscaling", "ok", "");
    assert_eq!(stub.times("DescribeEndpoint") + stub.times("ListMetrics"), 0);
    assert_eq!(stub.times("DescribeScalingActivities"), 1);
}

#[test]
fn the_gateways_own_names_are_asked_and_the_usual_ones_recorded() {
    let own = sample::record()
        .to_string()
        .replace("MangaAssist/Inference", "Own/Gateway")
        .replace("TTFTMs", "FirstToken")
        .replace("AdapterId", "lora");
    let stub = Stub::serve(&serde_json::from_str(&own).unwrap());
    let settings = "namespace = 'Own/Gateway'\nmetrics = { TTFTMs = 'FirstToken' }\n\
                    dimensions = { AdapterId = 'lora' }\n";
    let collected = collect_with(&stub.url(), "--cloudwatch --region eu-west-1", settings);
    let values = collected.answers("GetMetricData");
    let queries = values[0]["input"]["MetricDataQueries"].as_array().unwrap();
    assert_eq!(queries.len(), 14, "two adapters, seven statistics, never merged");
    let metric = &queries[0]["MetricStat"]["Metric"];
    assert_eq!(metric["MetricName"], "TTFTMs");
    assert_eq!(metric["Dimensions"][0], json!({ "Name": "AdapterId", "Value": "a" }));
    assert_eq!(values[0]["output"]["MetricDataResults"].as_array().unwrap().len(), 14);
}

#[test]
fn a_refusal_names_the_action_to_allow_and_stops_nothing_else() {
    let denied = Fault::Refuse(400, "AccessDeniedException", "User x is not authorized");
    let faults = [("DescribeEndpoint", denied), ("GetMetricData", denied)];
    let stub = Stub::failing(&sample::record(), &faults);
    let collected = collect(&stub.url(), CHAT);
    collected.assert_status("sagemaker", "unauthorized", "allow `sagemaker:DescribeEndpoint`");
    collected.assert_status("cloudwatch", "partial", "allow `cloudwatch:GetMetricData`");
    collected.assert_status("autoscaling", "ok", "");
    assert!(collected.answers("DescribeEndpoint")[0]["error"].is_string());
    assert_eq!(collected.answers("DescribeAlarms").len(), 1);
}

#[test]
fn sessions_endpoints_and_throttling_are_told_apart() {
    for (code, message, status, words) in [
        ("ExpiredTokenException", "expired", "unauthorized", "log in again"),
        ("UnrecognizedClientException", "x", "unauthorized", "does not accept the credentials"),
        ("ValidationException", "Could not find endpoint", "unsupported", "no endpoint `chat`"),
        ("ThrottlingException", "Rate exceeded", "timed_out", "throttled"),
    ] {
        let fault = Fault::Refuse(400, code, message);
        let stub = Stub::failing(&sample::record(), &[("DescribeEndpoint", fault)]);
        let collected = collect(&stub.url(), CHAT);
        collected.assert_status("sagemaker", status, words);
        let tries = if code.starts_with("Throttl") { 3 } else { 1 };
        assert_eq!(stub.times("DescribeEndpoint"), tries, "{code}");
    }
}

/// A machine without settings of AWS, whose metadata service takes connections and says nothing.
fn laptop(flags: &str, service: &TcpListener) -> Collected {
    let folder = tempfile::tempdir().unwrap();
    let metadata = format!("http://{}", service.local_addr().unwrap());
    let ran = finish(
        diagnose()
            .current_dir(folder.path())
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata)
            .args(cli::words(&format!("collect --output bundle {flags}"))),
    );
    Collected { ran, folder }
}

#[test]
fn without_credentials_there_is_no_delay() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let none = laptop(CHAT, &silent);
    assert!(none.ran.took < Duration::from_secs(2), "{:?}", none.ran.took);
    for id in ["sagemaker", "autoscaling", "cloudwatch", "log"] {
        none.assert_status(id, "unauthorized", "no AWS credentials");
    }
    laptop("--sagemaker chat", &silent).assert_status("log", "unreachable", "no AWS region");
}

#[test]
fn nobody_there_is_unreachable() {
    let closed = format!("http://127.0.0.1:{}", free_port());
    let collected = collect(&closed, CHAT);
    collected.assert_status("sagemaker", "unreachable", "eu-west-1");
    assert!(collected.record().is_some_and(|it| it.to_string().contains("error")));
}

#[test]
fn a_hanging_service_ends_at_the_deadline_and_the_rest_is_kept() {
    let faults = [("DescribeModel", Fault::Hang), ("DescribeAlarmHistory", Fault::Hang)];
    let stub = Stub::failing(&sample::record(), &faults);
    let start = Instant::now();
    let collected = collect(&stub.url(), &format!("{CHAT} --timeout 1s"));
    assert!(start.elapsed() < Duration::from_secs(7), "{:?}", start.elapsed());
    collected.assert_status("sagemaker", "partial", "no answer within");
    collected.assert_status("cloudwatch", "partial", "no answer within");
    collected.assert_status("autoscaling", "ok", "");
    assert_eq!(collected.answers("DescribeEndpoint").len(), 1);
    assert_eq!(collected.answers("GetMetricData").len(), 1);
    let stub = Stub::failing(&sample::record(), &[("DescribeEndpoint", Fault::Hang)]);
    let collected = collect(&stub.url(), &format!("{CHAT} --timeout 300ms"));
    collected.assert_status("sagemaker", "timed_out", "no answer within");
}

#[test]
fn what_cloudwatch_holds_back_is_said() {
    let empty = collect(&Stub::serve(&json!({ "answers": [] })).url(), CHAT);
    empty.assert_status("cloudwatch", "partial", "no metric has data in MangaAssist/Inference");
    empty.assert_status("sagemaker", "unsupported", "there is no endpoint `chat` in eu-west-1");
    let partial = sample::record().to_string().replace("Complete", "PartialData");
    let stub = Stub::serve(&serde_json::from_str(&partial).unwrap());
    let collected = collect(&stub.url(), CHAT);
    collected.assert_status("cloudwatch", "partial", "series are not whole (PartialData)");
}

/// Runs Python with `client(name)` for each service of the server at `url`.
fn set_up(url: &str, script: &str) {
    let head = format!(
        "import boto3, time\ndef client(name):\n    return boto3.client(name, \
         endpoint_url='{url}', region_name='eu-west-1', aws_access_key_id='a', \
         aws_secret_access_key='b')\n"
    );
    let ran = Command::new(tool("python-botocore"))
        .args(["-c", &format!("{head}{script}")])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

const DEPLOYED: &str = r"
role = 'arn:aws:iam::123456789012:role/x'
sagemaker = client('sagemaker')
for version in ['1', '2']:
    sagemaker.create_model(ModelName='model-' + version, ExecutionRoleArn=role, PrimaryContainer={
        'Image': 'vllm:' + version, 'Environment': {'VLLM_API_KEY': 'k-e-y', 'A': version}})
    sagemaker.create_endpoint_config(EndpointConfigName='chat-' + version, ProductionVariants=[{
        'VariantName': 'main', 'ModelName': 'model-' + version, 'InitialInstanceCount': 1,
        'InstanceType': 'ml.g4dn.xlarge', 'InitialVariantWeight': 1.0}])
    time.sleep(1.1)
sagemaker.create_endpoint(EndpointName='chat', EndpointConfigName='chat-2')
scaling = client('application-autoscaling')
target = {'ServiceNamespace': 'sagemaker', 'ResourceId': 'endpoint/chat/variant/main',
          'ScalableDimension': 'sagemaker:variant:DesiredInstanceCount'}
scaling.register_scalable_target(MinCapacity=1, MaxCapacity=3, **target)
scaling.put_scaling_policy(PolicyName='out', PolicyType='TargetTrackingScaling',
    TargetTrackingScalingPolicyConfiguration={'TargetValue': 70.0, 'ScaleOutCooldown': 60},
    **target)
logs = client('logs')
group = '/aws/sagemaker/Endpoints/chat'
logs.create_log_group(logGroupName=group)
logs.create_log_stream(logGroupName=group, logStreamName='main/i-1')
now = int(time.time() * 1000)
logs.put_log_events(logGroupName=group, logStreamName='main/i-1', logEvents=[
    {'timestamp': now - 2000, 'message': 'INFO 11-21 23:58:37 [a.py:1] Starting vLLM'},
    {'timestamp': now - 1000, 'message': 'torch.OutOfMemoryError: CUDA out of memory.'}])
";

#[test]
fn another_server_of_aws_is_understood_too() {
    let moto = Moto::start();
    let url = format!("http://127.0.0.1:{}", moto.port);
    set_up(&url, DEPLOYED);
    let collected = collect(&url, CHAT);
    collected.assert_status("sagemaker", "ok", "");
    let names: Vec<_> = collected.answers("DescribeModel");
    let images: Vec<_> =
        names.iter().map(|it| it["output"]["PrimaryContainer"]["Image"].clone()).collect();
    assert_eq!(images, ["vllm:1", "vllm:2"], "of the present configuration and of the one before");
    assert!(!collected.record().unwrap().to_string().contains("k-e-y"));
    assert_eq!(
        collected.answers("DescribeScalableTargets")[0]["output"]["ScalableTargets"][0]["MaxCapacity"],
        3
    );
    let policies = collected.answers("DescribeScalingPolicies");
    assert_eq!(policies[0]["output"]["ScalingPolicies"][0]["PolicyName"], "out");
    let log = collected.log().unwrap();
    let lines: Vec<_> = log.lines().collect();
    assert!(
        lines.len() == 2 && lines[1].ends_with("Z torch.OutOfMemoryError: CUDA out of memory.")
    );
    // This server knows neither these activities nor the protocol of CloudWatch.
    collected.assert_status("autoscaling", "partial", "DescribeScalingActivities");
    collected.assert_status("cloudwatch", "bad_data", "");
    collected.assert_status("log", "ok", "");
}
