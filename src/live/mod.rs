//! What is seen while a test runs.
