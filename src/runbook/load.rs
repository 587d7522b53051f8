//! Reading runbooks, checks, causes and policy from the binary and from user directories.
