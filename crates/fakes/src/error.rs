//! Errors as each provider words and shapes them.

use crate::Wire;
use serde_json::{Value, json};

/// What kind of error a provider reports; each wire has its own word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Invalid,
    Authentication,
    Permission,
    Billing,
    NotFound,
    TooLarge,
    RateLimit,
    Internal,
    Overloaded,
    Timeout,
}

/// An error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub status: u16,
    pub kind: Kind,
    pub message: String,
    /// OpenAI's `param`.
    pub param: Option<String>,
    /// OpenAI's `code`; Gemini's `reason`.
    pub code: Option<&'static str>,
    /// Extra headers.
    pub headers: Vec<(&'static str, String)>,
    /// Gemini's `details`.
    pub details: Vec<Value>,
}

impl ApiError {
    pub fn new(status: u16, kind: Kind, message: impl Into<String>) -> Self {
        let (headers, details) = (Vec::new(), Vec::new());
        Self { status, kind, message: message.into(), param: None, code: None, headers, details }
    }

    /// A request that breaks a rule.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, Kind::Invalid, message)
    }

    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn detail(mut self, detail: Value) -> Self {
        self.details.push(detail);
        self
    }

    /// The body in the form of a wire.
    pub fn body(&self, wire: Wire, request_id: &str) -> Value {
        match wire {
            Wire::Anthropic => {
                let mut body = self.anthropic();
                body["request_id"] = json!(request_id);
                body
            }
            Wire::Chat | Wire::Responses => json!({ "error": {
                "message": self.message,
                "type": self.openai_type(),
                "param": self.param,
                "code": self.code,
            }}),
            Wire::Gemini => {
                let mut error = json!({ "code": self.status, "message": self.message, "status": self.google_status() });
                if !self.details.is_empty() {
                    error["details"] = json!(self.details);
                }
                json!({ "error": error })
            }
        }
    }

    /// The body of Anthropic's errors, which is also the data of its `error` event.
    pub fn anthropic(&self) -> Value {
        let kind = match self.kind {
            Kind::Invalid => "invalid_request_error",
            Kind::Authentication => "authentication_error",
            Kind::Permission => "permission_error",
            Kind::Billing => "billing_error",
            Kind::NotFound => "not_found_error",
            Kind::TooLarge => "request_too_large",
            Kind::RateLimit => "rate_limit_error",
            Kind::Internal => "api_error",
            Kind::Overloaded => "overloaded_error",
            Kind::Timeout => "timeout_error",
        };
        json!({ "type": "error", "error": { "type": kind, "message": self.message } })
    }

    fn openai_type(&self) -> &'static str {
        match self.kind {
            Kind::Billing => "insufficient_quota",
            Kind::RateLimit => "requests",
            Kind::Internal | Kind::Overloaded | Kind::Timeout => "server_error",
            _ => "invalid_request_error",
        }
    }

    fn google_status(&self) -> &'static str {
        match self.kind {
            Kind::Invalid | Kind::TooLarge | Kind::Authentication => "INVALID_ARGUMENT",
            Kind::Permission => "PERMISSION_DENIED",
            Kind::NotFound => "NOT_FOUND",
            Kind::RateLimit | Kind::Billing => "RESOURCE_EXHAUSTED",
            Kind::Internal => "INTERNAL",
            Kind::Overloaded => "UNAVAILABLE",
            Kind::Timeout => "DEADLINE_EXCEEDED",
        }
    }
}

/// A missing key, in the words of the wire.
pub(crate) fn missing_key(wire: Wire) -> ApiError {
    match wire {
        Wire::Anthropic => ApiError::new(401, Kind::Authentication, "x-api-key header is required"),
        Wire::Chat | Wire::Responses => ApiError::new(
            401,
            Kind::Authentication,
            "You didn't provide an API key. You need to provide your API key in an Authorization header using \
             Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        ),
        Wire::Gemini => ApiError::new(
            403,
            Kind::Permission,
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key \
             or other form of API consumer identity to call this API.",
        ),
    }
}

/// A key that the provider does not know, in the words of the wire.
pub(crate) fn wrong_key(wire: Wire) -> ApiError {
    match wire {
        Wire::Anthropic => ApiError::new(401, Kind::Authentication, "invalid x-api-key"),
        Wire::Chat | Wire::Responses => ApiError::new(
            401,
            Kind::Authentication,
            "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.",
        )
        .code("invalid_api_key"),
        // Gemini answers a wrong key with 400, not 401.
        Wire::Gemini => ApiError::new(
            400,
            Kind::Authentication,
            "API key not valid. Please pass a valid API key.",
        )
        .detail(json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": { "service": "generativelanguage.googleapis.com" },
        })),
    }
}

/// A model that is not there, in the words of the wire.
pub(crate) fn unknown_model(wire: Wire, model: &str) -> ApiError {
    match wire {
        Wire::Anthropic => ApiError::new(404, Kind::NotFound, format!("model: {model}")),
        Wire::Chat | Wire::Responses => ApiError::new(
            404,
            Kind::NotFound,
            format!("The model `{model}` does not exist or you do not have access to it."),
        )
        .code("model_not_found"),
        Wire::Gemini => ApiError::new(
            404,
            Kind::NotFound,
            format!(
                "models/{model} is not found for API version v1beta, or is not supported for generateContent. Call \
                 ListModels to see the list of available models and their supported methods."
            ),
        ),
    }
}

/// A prompt longer than the context window, in the words of the wire.
pub(crate) fn context_too_long(wire: Wire, prompt: u64, limit: u64) -> ApiError {
    match wire {
        Wire::Anthropic => {
            ApiError::invalid(format!("prompt is too long: {prompt} tokens > {limit} maximum"))
        }
        Wire::Chat => ApiError::invalid(format!(
            "This model's maximum context length is {limit} tokens. However, your messages resulted in {prompt} \
             tokens. Please reduce the length of the messages."
        ))
        .param("messages")
        .code("context_length_exceeded"),
        Wire::Responses => ApiError::invalid(
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
        )
        .param("input")
        .code("context_length_exceeded"),
        Wire::Gemini => ApiError::invalid(format!(
            "The input token count ({prompt}) exceeds the maximum number of tokens allowed ({limit})."
        )),
    }
}

/// A body over the size limit, in the words of the wire.
pub(crate) fn too_large(wire: Wire) -> ApiError {
    let message = match wire {
        Wire::Anthropic => "Request exceeds the maximum size",
        Wire::Chat | Wire::Responses => "Request body too large.",
        Wire::Gemini => "Request payload size exceeds the limit: 20971520 bytes.",
    };
    ApiError::new(413, Kind::TooLarge, message)
}

/// Too many requests, in the words of the wire.
pub(crate) fn rate_limited(wire: Wire) -> ApiError {
    match wire {
        Wire::Anthropic => ApiError::new(
            429,
            Kind::RateLimit,
            "This request would exceed your organization's rate limit of 50 requests per minute. Please reduce the \
             prompt length or try again later.",
        ),
        Wire::Chat | Wire::Responses => {
            ApiError::new(429, Kind::RateLimit, "Rate limit reached for requests. Please try again later.")
                .code("rate_limit_exceeded")
        }
        Wire::Gemini => ApiError::new(
            429,
            Kind::RateLimit,
            "You exceeded your current quota, please check your plan and billing details. For more information on \
             this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.",
        )
        .detail(quota_failure("GenerateRequestsPerMinutePerProjectPerModel-FreeTier")),
    }
}

/// A spent quota, in the words of the wire: 402 at Anthropic, 429 with its own code at OpenAI, a daily quota at Gemini.
pub(crate) fn quota_spent(wire: Wire) -> ApiError {
    match wire {
        Wire::Anthropic => ApiError::new(
            402,
            Kind::Billing,
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or \
             purchase credits.",
        ),
        Wire::Chat | Wire::Responses => ApiError::new(
            429,
            Kind::Billing,
            "You exceeded your current quota, please check your plan and billing details. For more information on \
             this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
        )
        .code("insufficient_quota"),
        Wire::Gemini => ApiError::new(
            429,
            Kind::Billing,
            "You exceeded your current quota, please check your plan and billing details. For more information on \
             this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.",
        )
        .detail(quota_failure("GenerateRequestsPerDayPerProjectPerModel-FreeTier")),
    }
}

fn quota_failure(quota: &str) -> Value {
    json!({
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
            "quotaId": quota,
            "quotaDimensions": { "location": "global" },
            "quotaValue": "50",
        }],
    })
}
