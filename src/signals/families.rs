//! vLLM metric families by version.
