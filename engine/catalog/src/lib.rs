//! System catalogs: initial contents, bootstrap, shared versioned cache, namespaces, dependencies, privileges.
#![forbid(unsafe_code)]
