//! A live vLLM server over HTTP.
