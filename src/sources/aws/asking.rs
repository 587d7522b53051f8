//! One service at work: its requests, what it answered, and how that went as a whole.

use std::{
    cell::{Cell, RefCell},
    error::Error,
    future::Future,
    time::{Duration, Instant},
};

use aws_sdk_sagemaker::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use serde_json::{Value, json};

use super::{
    Service,
    failure::{About, Failure},
    permissions::Ask,
    words::merge,
};
use crate::{
    evidence::{SourceState, SourceStatus},
    unit::counted,
};

/// Pages of one listing that are read.
const MOST_PAGES: usize = 50;

/// A request's result.
type Sent<T, E> = Result<T, SdkError<E, HttpResponse>>;

/// What one service was asked. What it holds survives a deadline.
pub(super) struct Asking {
    service: Service,
    about: About,
    answers: RefCell<Vec<Value>>,
    answered: Cell<usize>,
    failures: RefCell<Vec<Failure>>,
    lost: RefCell<Vec<String>>,
}

/// One page: what to keep of it, and whether further ones are wanted.
pub(super) struct Page {
    pub(super) output: Value,
    pub(super) more: bool,
}

impl Page {
    /// A page of a listing that is read to its end.
    pub(super) fn of(output: Value) -> Self {
        Self { output, more: true }
    }
}

impl Asking {
    pub(super) fn new(service: Service, about: About) -> Self {
        Self {
            service,
            about,
            answers: RefCell::default(),
            answered: Cell::default(),
            failures: RefCell::default(),
            lost: RefCell::default(),
        }
    }

    /// Sends one request. A failure is recorded, and the answer is left to the caller.
    pub(super) async fn send<T, E: ProvideErrorMetadata + Error + 'static>(
        &self,
        ask: &Ask,
        input: &Value,
        call: impl Future<Output = Sent<T, E>>,
    ) -> Option<T> {
        match call.await {
            Ok(output) => {
                self.answered.set(self.answered.get() + 1);
                Some(output)
            }
            Err(error) => {
                self.fail(ask, input, &error);
                None
            }
        }
    }

    /// Reads a listing page by page into one answer. With `record` false nothing is kept of it.
    pub(super) async fn pages<T, E: ProvideErrorMetadata + Error + 'static>(
        &self,
        ask: &Ask,
        input: Value,
        mut next: impl AsyncFnMut() -> Option<Sent<T, E>>,
        mut each: impl FnMut(T) -> Page,
    ) {
        let mut slot = None;
        for _ in 0..MOST_PAGES {
            let page = match next().await {
                None => return,
                Some(Err(error)) => return self.fail(ask, &input, &error),
                Some(Ok(page)) => each(page),
            };
            self.answered.set(self.answered.get() + 1);
            if !page.output.is_null() {
                match slot {
                    None => slot = Some(self.keep(ask, &input, page.output)),
                    Some(at) => self.extend(at, page.output),
                }
            }
            if !page.more {
                return;
            }
        }
        self.lose(format!("{} has more than {MOST_PAGES} pages", ask.operation));
    }

    /// Keeps an answer, and says where.
    pub(super) fn keep(&self, ask: &Ask, input: &Value, output: Value) -> usize {
        let mut answers = self.answers.borrow_mut();
        let (service, operation) = (ask.service, ask.operation);
        answers.push(json!({
            "service": service, "operation": operation, "input": input, "output": output
        }));
        answers.len() - 1
    }

    fn extend(&self, at: usize, page: Value) {
        if let Some(answer) = self.answers.borrow_mut().get_mut(at) {
            merge(&mut answer["output"], page);
        }
    }

    fn fail<E: ProvideErrorMetadata + Error + 'static>(
        &self,
        ask: &Ask,
        input: &Value,
        error: &SdkError<E, HttpResponse>,
    ) {
        let mut failure = Failure::of(ask, error, &self.about);
        let (service, operation) = (ask.service, ask.operation);
        self.answers.borrow_mut().push(json!({
            "service": service, "operation": operation, "input": input, "error": failure.text,
            "state": failure.state,
        }));
        failure.text = format!("{operation}: {}", failure.text);
        self.failures.borrow_mut().push(failure);
    }

    /// Says what is lost of an answer that came.
    pub(super) fn lose(&self, what: String) {
        self.lost.borrow_mut().push(what);
    }

    /// Works until done or until the deadline; what came before stays.
    pub(super) async fn until(
        self,
        deadline: Duration,
        work: impl AsyncFnOnce(&Self),
    ) -> (Vec<Value>, SourceStatus) {
        let start = Instant::now();
        if tokio::time::timeout(deadline, work(&self)).await.is_err() {
            self.failures.borrow_mut().push(Failure::late(deadline));
        }
        let took = u64::try_from(start.elapsed().as_millis()).ok();
        let status = self.status(took);
        (self.answers.into_inner(), status)
    }

    fn status(&self, took_ms: Option<u64>) -> SourceStatus {
        let failures = self.failures.borrow();
        let came = counted(self.answered.get(), "answer");
        let lost = self.lost.borrow().first().cloned();
        let (status, detail) = match (self.answered.get(), failures.first()) {
            (0, Some(failure)) => (failure.state, failure.text.clone()),
            (_, Some(failure)) => (SourceState::Partial, format!("{came}, but {}", failure.text)),
            (_, None) => match lost {
                Some(lost) => (SourceState::Partial, format!("{came}, but {lost}")),
                None => (SourceState::Ok, format!("{came} from {}", self.about.region)),
            },
        };
        SourceStatus { id: self.service.id().into(), status, detail, took_ms }
    }
}
