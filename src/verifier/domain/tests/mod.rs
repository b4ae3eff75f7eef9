//! Tests of the value domain.
