//! The user-space side of a project would stand here: it loads `bpf/admission.bpf.c` and sets `limit`. What this example is
//! about are its tests, in `tests/bpf.rs`.
