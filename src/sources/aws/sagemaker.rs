//! The endpoint, what it runs, and what it ran before.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_sagemaker::{
    Client,
    operation::{
        describe_endpoint::DescribeEndpointOutput,
        describe_endpoint_config::DescribeEndpointConfigOutput,
        describe_model::DescribeModelOutput,
    },
    primitives::DateTime,
    types::{
        ContainerDefinition, DeployedImage, EndpointConfigSortKey, OrderKey, ProductionVariant,
        ProductionVariantStatus, ProductionVariantSummary,
    },
};
use serde_json::{Value, json};

use super::{
    asking::Asking,
    permissions::{
        DESCRIBE_ENDPOINT, DESCRIBE_ENDPOINT_CONFIG, DESCRIBE_MODEL, LIST_ENDPOINT_CONFIGS,
    },
    words::{list, object, some, time},
};

/// Models looked at, over both configurations.
const MOST_MODELS: usize = 10;

/// Asks for the endpoint, its configuration, the one before, and the models of both.
pub(super) async fn ask(asking: &Asking, client: &Client, name: &str) {
    let input = json!({ "EndpointName": name });
    let call = client.describe_endpoint().endpoint_name(name).send();
    let Some(output) = asking.send(&DESCRIBE_ENDPOINT, &input, call).await else { return };
    asking.keep(&DESCRIBE_ENDPOINT, &input, endpoint(&output));
    let Some(present) = output.endpoint_config_name() else {
        return asking.lose("the endpoint has no configuration".into());
    };
    let mut models = BTreeSet::new();
    let created = config(asking, client, present, &mut models).await;
    if let Some(before) = before(asking, client, name, present, created).await {
        config(asking, client, &before, &mut models).await;
    }
    for name in models.into_iter().take(MOST_MODELS) {
        model(asking, client, &name).await;
    }
}

/// Asks for a configuration; returns when it was made, and adds its models.
async fn config(
    asking: &Asking,
    client: &Client,
    name: &str,
    models: &mut BTreeSet<String>,
) -> Option<DateTime> {
    let input = json!({ "EndpointConfigName": name });
    let call = client.describe_endpoint_config().endpoint_config_name(name).send();
    let output = asking.send(&DESCRIBE_ENDPOINT_CONFIG, &input, call).await?;
    asking.keep(&DESCRIBE_ENDPOINT_CONFIG, &input, endpoint_config(&output));
    models.extend(output.production_variants().iter().filter_map(|it| it.model_name.clone()));
    output.creation_time
}

/// The newest configuration of this endpoint, by its name, that was made before the present one.
async fn before(
    asking: &Asking,
    client: &Client,
    endpoint: &str,
    present: &str,
    created: Option<DateTime>,
) -> Option<String> {
    let input = json!({ "NameContains": endpoint, "SortBy": "CreationTime" });
    let call = client
        .list_endpoint_configs()
        .name_contains(endpoint)
        .sort_by(EndpointConfigSortKey::CreationTime)
        .sort_order(OrderKey::Descending)
        .set_creation_time_before(created)
        .send();
    let output = asking.send(&LIST_ENDPOINT_CONFIGS, &input, call).await?;
    let other = |name: &&str| *name != present;
    output
        .endpoint_configs()
        .iter()
        .filter(|config| created.is_none() || config.creation_time <= created)
        .filter_map(|config| Some((config.creation_time?, config.endpoint_config_name()?)))
        .filter(|(_, name)| other(name))
        .max_by_key(|(at, _)| *at)
        .map(|(_, name)| name.to_owned())
}

async fn model(asking: &Asking, client: &Client, name: &str) {
    let input = json!({ "ModelName": name });
    let call = client.describe_model().model_name(name).send();
    if let Some(output) = asking.send(&DESCRIBE_MODEL, &input, call).await {
        asking.keep(&DESCRIBE_MODEL, &input, model_of(&output));
    }
}

fn endpoint(it: &DescribeEndpointOutput) -> Value {
    let pending = it.pending_deployment_summary();
    object([
        ("EndpointName", json!(it.endpoint_name())),
        ("EndpointConfigName", json!(it.endpoint_config_name())),
        ("EndpointStatus", json!(it.endpoint_status().map(|status| status.as_str()))),
        ("FailureReason", json!(it.failure_reason())),
        ("CreationTime", time(it.creation_time())),
        ("LastModifiedTime", time(it.last_modified_time())),
        ("ProductionVariants", list(it.production_variants(), variant)),
        (
            "PendingDeploymentSummary",
            json!(pending.map(|it| object([
                ("EndpointConfigName", json!(it.endpoint_config_name())),
                ("StartTime", time(it.start_time())),
            ]))),
        ),
    ])
}

fn variant(it: &ProductionVariantSummary) -> Value {
    object([
        ("VariantName", json!(it.variant_name())),
        ("CurrentInstanceCount", json!(it.current_instance_count())),
        ("DesiredInstanceCount", json!(it.desired_instance_count())),
        ("DeployedImages", some(it.deployed_images(), image)),
        ("VariantStatus", some(it.variant_status(), status)),
    ])
}

fn image(it: &DeployedImage) -> Value {
    object([
        ("SpecifiedImage", json!(it.specified_image())),
        ("ResolvedImage", json!(it.resolved_image())),
    ])
}

fn status(it: &ProductionVariantStatus) -> Value {
    object([
        ("Status", json!(it.status().map(|status| status.as_str()))),
        ("StatusMessage", json!(it.status_message())),
        ("StartTime", time(it.start_time())),
    ])
}

fn endpoint_config(it: &DescribeEndpointConfigOutput) -> Value {
    object([
        ("EndpointConfigName", json!(it.endpoint_config_name())),
        ("CreationTime", time(it.creation_time())),
        ("ProductionVariants", list(it.production_variants(), configured)),
    ])
}

fn configured(it: &ProductionVariant) -> Value {
    let (download, startup) = (
        it.model_data_download_timeout_in_seconds(),
        it.container_startup_health_check_timeout_in_seconds(),
    );
    object([
        ("VariantName", json!(it.variant_name())),
        ("ModelName", json!(it.model_name())),
        ("InitialInstanceCount", json!(it.initial_instance_count())),
        ("InstanceType", json!(it.instance_type().map(|kind| kind.as_str()))),
        ("ModelDataDownloadTimeoutInSeconds", json!(download)),
        ("ContainerStartupHealthCheckTimeoutInSeconds", json!(startup)),
        ("InferenceAmiVersion", json!(it.inference_ami_version().map(|it| it.as_str()))),
    ])
}

fn model_of(it: &DescribeModelOutput) -> Value {
    object([
        ("ModelName", json!(it.model_name())),
        ("CreationTime", time(it.creation_time())),
        ("PrimaryContainer", json!(it.primary_container().map(container))),
        ("Containers", some(it.containers(), container)),
    ])
}

fn container(it: &ContainerDefinition) -> Value {
    let environment: Option<BTreeMap<_, _>> = it.environment().map(|it| it.iter().collect());
    object([
        ("Image", json!(it.image())),
        ("ModelDataUrl", json!(it.model_data_url())),
        ("Environment", json!(environment)),
    ])
}
