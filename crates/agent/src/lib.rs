//! The loop of a model-backed subagent as a state machine: what is said to the model, what its reply means,
//! which tools it wants called, when it is done. Asks nobody and waits for nothing: the engine makes a
//! journalled step of each request and each tool call.
//!
//! ```
//! use loopwright_agent::{Conversation, Next, Setup};
//! use loopwright_protocol::{Block, Finish, ModelReply};
//!
//! let mut conversation = Conversation::new(Setup { prompt: "2 + 2?".into(), ..Setup::default() });
//! let blocks = vec![Block::Text { text: "4".into() }];
//! let next = conversation.take_reply(ModelReply { blocks, finish: Finish::End });
//! assert!(matches!(next, Next::Answer(answer) if answer.text() == "\"4\""));
//! ```

mod answer; // a final message becomes a value
mod conversation; // the transcript and what follows from a reply
mod prompt; // what a subagent is told of its situation
mod repair; // tool arguments that are almost JSON

pub use answer::read_answer;
pub use conversation::{Conversation, Next, Setup, ToolCall};
pub use prompt::system_prompt;
pub use repair::read_arguments;
