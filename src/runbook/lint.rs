//! Finding mistakes in runbooks before an incident does.
