//! Virtual clock and mock host around the real engine.
