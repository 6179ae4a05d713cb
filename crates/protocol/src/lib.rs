//! Versioned journal entries, engine events and commands: the serialised forms.
