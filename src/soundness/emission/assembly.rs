//! Assembly text.
