//! Incident diagnostics and runbook automation for self-hosted vLLM.
//!
//! Data flows one way: [`sources`] gather a [`evidence::bundle::Bundle`] and read it into
//! [`evidence::Evidence`]; [`signals`] derive readings; [`runbook`] judges them; [`report`]
//! renders the verdict; [`eval`] counts how often it is right. After evidence nothing blocks and nothing fails.

#![warn(clippy::disallowed_methods)]

pub mod cli;
pub mod commands;
pub mod compare;
pub mod config;
pub mod eval;
pub mod evidence;
pub mod exit;
pub mod hazard;
#[expect(clippy::disallowed_methods, reason = "the edge: what somebody names")]
pub mod input;
pub mod load;
pub mod monitor;
pub mod prefix;
pub mod report;
pub mod runbook;
pub mod signals;
#[expect(clippy::disallowed_methods, reason = "the edge: servers, files of others, the clock")]
pub mod sources;
pub mod stats;
pub mod unit;
pub mod verify;
