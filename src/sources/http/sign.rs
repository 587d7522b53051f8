//! Signatures for AWS, version 4, with the credentials of this machine.

use std::time::SystemTime;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use reqwest::Url;

/// Name of Amazon Managed Prometheus in signatures.
const SERVICE: &str = "aps";

/// The headers that sign a POST of `body` to `url`.
///
/// # Errors
/// No credentials, in words for people.
pub(super) async fn headers(
    region: &str,
    url: &Url,
    content_type: &str,
    body: &str,
) -> Result<Vec<(String, String)>, String> {
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .load()
        .await;
    let provider = config.credentials_provider().ok_or("no AWS credentials are set up")?;
    let credentials = provider
        .provide_credentials()
        .await
        .map_err(|error| format!("no AWS credentials to sign with: {error}"))?;
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let mut bare = url.clone();
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    let signed = [("content-type", content_type)].into_iter();
    let body = SignableBody::Bytes(body.as_bytes());
    let request = SignableRequest::new("POST", bare.as_str(), signed, body)
        .map_err(|error| error.to_string())?;
    let (instructions, _) = sign(request, &params).map_err(|error| error.to_string())?.into_parts();
    Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}
