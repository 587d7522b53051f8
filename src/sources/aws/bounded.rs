//! Answers within bounds: the clients of AWS read each body whole, whatever its size.

use std::error::Error;

use aws_sdk_sagemaker::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::BeforeDeserializationInterceptorContextMut,
    },
    error::BoxError,
};
use aws_smithy_types::body::SdkBody;
use http_body_util::{LengthLimitError, Limited};

/// Ends a body that is larger than so many bytes with an error.
#[derive(Debug)]
pub(super) struct Bounded {
    pub(super) most: usize,
}

impl Intercept for Bounded {
    fn name(&self) -> &'static str {
        "Bounded"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().body_mut();
        let whole = std::mem::replace(body, SdkBody::taken());
        *body = SdkBody::from_body_1_x(Limited::new(whole, self.most));
        Ok(())
    }
}

/// Whether an error is that of a body that is too large.
pub(super) fn is_too_large(error: &(dyn Error + 'static)) -> bool {
    has::<LengthLimitError>(error)
}

/// Whether an error of a kind is among the reasons of another.
pub(super) fn has<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    error.is::<E>() || error.source().is_some_and(has::<E>)
}

/// A client of one service whose answers are bounded.
macro_rules! bounded {
    ($sdk:ident, $config:expr, $options:expr) => {
        $sdk::Client::from_conf(
            $sdk::config::Builder::from($config)
                .interceptor($crate::sources::aws::bounded::Bounded { most: $options.max_body })
                .build(),
        )
    };
}
pub(super) use bounded;
