//! Clients of model providers
