//! Document → bytes. Pure: the run's result goes in, text comes out.
