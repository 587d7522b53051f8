//! Region and credentials of this machine, found without delay.

use std::{error::Error, time::Duration};

use aws_config::{
    BehaviorVersion, Region, SdkConfig,
    default_provider::credentials::DefaultCredentialsChain,
    environment::EnvironmentVariableRegionProvider,
    imds::{
        client::{Client as Imds, error::ImdsError},
        region::ImdsRegionProvider,
    },
    meta::region::RegionProviderChain,
    profile::ProfileFileRegionProvider,
    retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError};

use super::{
    Options,
    failure::{Failure, TRIES, root},
};
use crate::evidence::SourceState;

/// How long the metadata service of EC2 may take: on a laptop nothing answers there.
const METADATA: Duration = Duration::from_millis(250);

/// How all services are asked.
pub(super) async fn config(options: &Options) -> Result<SdkConfig, Failure> {
    let imds = Imds::builder()
        .max_attempts(1)
        .connect_timeout(METADATA)
        .read_timeout(METADATA)
        .operation_timeout(METADATA)
        .build();
    let region = region(options, imds.clone()).await.ok_or_else(no_region)?;
    let mut chain = DefaultCredentialsChain::builder().region(region.clone()).imds_client(imds);
    if let Some(profile) = &options.profile {
        chain = chain.profile_name(profile);
    }
    let found = chain.build().await.provide_credentials().await;
    let credentials = found.map_err(|error| no_credentials(&error))?;
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(options.timeout)
        .operation_attempt_timeout(options.timeout)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .credentials_provider(credentials)
        .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
        .timeout_config(timeouts);
    if let Some(url) = &options.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    Ok(loader.load().await)
}

async fn region(options: &Options, imds: Imds) -> Option<Region> {
    let mut profile = ProfileFileRegionProvider::builder();
    if let Some(name) = &options.profile {
        profile = profile.profile_name(name);
    }
    RegionProviderChain::first_try(options.region.clone().map(Region::new))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(profile.build())
        .or_else(ImdsRegionProvider::builder().imds_client(imds).build())
        .region()
        .await
}

fn no_region() -> Failure {
    Failure::new(SourceState::Unreachable, "no AWS region is set: give it by --region")
}

/// The metadata service is asked last, and only where nothing else has credentials: whatever it says
/// then, there are none.
fn no_credentials(error: &CredentialsError) -> Failure {
    let metadata = error.source().is_some_and(|it| it.is::<ImdsError>());
    let text = match error {
        CredentialsError::CredentialsNotLoaded(_) => NO_CREDENTIALS.into(),
        _ if metadata => NO_CREDENTIALS.into(),
        CredentialsError::ProviderTimedOut(_) => "the AWS credentials did not come in time".into(),
        error => format!("the AWS credentials cannot be used ({}): log in again", root(error)),
    };
    Failure::new(SourceState::Unauthorized, text)
}

const NO_CREDENTIALS: &str =
    "no AWS credentials on this machine: `aws configure` or `aws sso login` sets them up";
