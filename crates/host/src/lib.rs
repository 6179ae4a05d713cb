//! The traits through which the engine's commands reach the world.
