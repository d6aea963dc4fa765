//! The metrics that a server publishes about itself: one table of the names that servers give to
//! the same quantities.

use super::exposition::{Line, lines};
use std::collections::BTreeMap;

/// One quantity that servers count or measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    /// Requests being processed.
    Running,
    /// Requests waiting.
    Waiting,
    /// Share of the KV cache that is in use.
    KvUse,
    /// Prompt tokens so far.
    PromptTokens,
    /// Generated tokens so far.
    OutputTokens,
    /// Requests that have ended so far.
    Requests,
    /// Prompt tokens found in the cache so far.
    PrefixHits,
    /// Prompt tokens looked up in the cache so far.
    PrefixQueries,
    /// Preempted requests so far.
    Preemptions,
    /// Sum of the times to first token so far, in seconds, and their number.
    TtftSum,
    TtftCount,
    /// Sum and number of the times between tokens.
    ItlSum,
    ItlCount,
    /// Sum and number of the durations of whole requests, from their arrival to the last token.
    EndToEndSum,
    EndToEndCount,
}

/// Number of quantities.
const SAID: usize = 15;

/// The names of one kind of server. The first name that is present counts. Later ones belong to
/// other versions.
#[derive(Debug)]
struct Names {
    title: &'static str,
    /// True if its prompt tokens do not include those found in its cache.
    leaves_out_cached: bool,
    rows: &'static [(Said, &'static [&'static str])],
}

use Said::{
    EndToEndCount, EndToEndSum, ItlCount, ItlSum, KvUse, OutputTokens, Preemptions, PrefixHits, PrefixQueries,
    PromptTokens, Requests, Running, TtftCount, TtftSum, Waiting,
};

/// All known kinds of server, from their documentation of 2026.
const SERVERS: [Names; 6] = [
    Names {
        title: "vLLM",
        leaves_out_cached: false,
        rows: &[
            (Running, &["vllm:num_requests_running"]),
            (Waiting, &["vllm:num_requests_waiting"]),
            (KvUse, &["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"]),
            (PromptTokens, &["vllm:prompt_tokens_total"]),
            (OutputTokens, &["vllm:generation_tokens_total"]),
            (Requests, &["vllm:request_success_total"]),
            (PrefixHits, &["vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"]),
            (PrefixQueries, &["vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"]),
            (Preemptions, &["vllm:num_preemptions_total"]),
            (TtftSum, &["vllm:time_to_first_token_seconds_sum"]),
            (TtftCount, &["vllm:time_to_first_token_seconds_count"]),
            (ItlSum, &["vllm:inter_token_latency_seconds_sum", "vllm:time_per_output_token_seconds_sum"]),
            (ItlCount, &["vllm:inter_token_latency_seconds_count", "vllm:time_per_output_token_seconds_count"]),
            (EndToEndSum, &["vllm:e2e_request_latency_seconds_sum"]),
            (EndToEndCount, &["vllm:e2e_request_latency_seconds_count"]),
        ],
    },
    Names {
        title: "SGLang",
        leaves_out_cached: false,
        rows: &[
            (Running, &["sglang:num_running_reqs"]),
            (Waiting, &["sglang:num_queue_reqs"]),
            (KvUse, &["sglang:token_usage"]),
            (PromptTokens, &["sglang:prompt_tokens_total"]),
            (OutputTokens, &["sglang:generation_tokens_total"]),
            (Requests, &["sglang:num_requests_total"]),
            (PrefixHits, &["sglang:cached_tokens_total"]),
            (PrefixQueries, &["sglang:prompt_tokens_total"]),
            (TtftSum, &["sglang:time_to_first_token_seconds_sum"]),
            (TtftCount, &["sglang:time_to_first_token_seconds_count"]),
            (ItlSum, &["sglang:inter_token_latency_seconds_sum"]),
            (ItlCount, &["sglang:inter_token_latency_seconds_count"]),
            (EndToEndSum, &["sglang:e2e_request_latency_seconds_sum"]),
            (EndToEndCount, &["sglang:e2e_request_latency_seconds_count"]),
        ],
    },
    Names {
        title: "TGI",
        leaves_out_cached: false,
        rows: &[
            (Running, &["tgi_batch_current_size"]),
            (Waiting, &["tgi_queue_size"]),
            (PromptTokens, &["tgi_request_input_length_sum"]),
            (OutputTokens, &["tgi_request_generated_tokens_sum"]),
            (Requests, &["tgi_request_success"]),
            // tgi_request_mean_time_per_token_duration is not a time between tokens. Each request
            // adds one value: the time of its inference, prefill included, divided by its tokens.
            (EndToEndSum, &["tgi_request_duration_sum"]),
            (EndToEndCount, &["tgi_request_duration_count"]),
        ],
    },
    Names {
        title: "llama.cpp",
        leaves_out_cached: true,
        rows: &[
            (Running, &["llamacpp:requests_processing"]),
            (Waiting, &["llamacpp:requests_deferred"]),
            (KvUse, &["llamacpp:kv_cache_usage_ratio"]),
            (PromptTokens, &["llamacpp:prompt_tokens_total"]),
            (PrefixHits, &["llamacpp:prompt_tokens_cached_total"]),
            (OutputTokens, &["llamacpp:tokens_predicted_total"]),
        ],
    },
    Names {
        title: "LiteLLM",
        leaves_out_cached: false,
        rows: &[
            (Requests, &["litellm_proxy_total_requests_metric_total"]),
            (PromptTokens, &["litellm_input_tokens_metric_total"]),
            (OutputTokens, &["litellm_output_tokens_metric_total"]),
            (TtftSum, &["litellm_llm_api_time_to_first_token_metric_sum"]),
            (TtftCount, &["litellm_llm_api_time_to_first_token_metric_count"]),
            (EndToEndSum, &["litellm_request_total_latency_metric_sum"]),
            (EndToEndCount, &["litellm_request_total_latency_metric_count"]),
        ],
    },
    Names {
        title: "Dynamo",
        leaves_out_cached: false,
        rows: &[
            (Running, &["dynamo_frontend_inflight_requests"]),
            (Waiting, &["dynamo_frontend_queued_requests"]),
            (PromptTokens, &["dynamo_frontend_input_sequence_tokens_sum"]),
            (OutputTokens, &["dynamo_frontend_output_sequence_tokens_sum"]),
            (Requests, &["dynamo_frontend_requests_total"]),
            (TtftSum, &["dynamo_frontend_time_to_first_token_seconds_sum"]),
            (TtftCount, &["dynamo_frontend_time_to_first_token_seconds_count"]),
            (ItlSum, &["dynamo_frontend_inter_token_latency_seconds_sum"]),
            (ItlCount, &["dynamo_frontend_inter_token_latency_seconds_count"]),
            (EndToEndSum, &["dynamo_frontend_request_duration_seconds_sum"]),
            (EndToEndCount, &["dynamo_frontend_request_duration_seconds_count"]),
        ],
    },
];

/// The metrics of a server at one moment. Plain data.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// The server that uses these names, for people. `None` if it is unknown.
    pub server: Option<&'static str>,
    said: [Option<f64>; SAID],
    /// The values of the names that the user asked for, in that order. Each is a sum over all
    /// labels.
    pub own: Vec<Option<f64>>,
    /// For each of those names, true if the server declares it a counter.
    pub counters: Vec<bool>,
}

impl Report {
    /// Reads a response. `own` lists additional names to look for.
    pub fn read(text: &[u8], own: &[String]) -> Self {
        let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
        let mut counters = vec![false; own.len()];
        for line in lines(text) {
            match line {
                // Names of counters may lack `_total` in this line.
                Line::Type { name, kind } => {
                    for (is_counter, own) in counters.iter_mut().zip(own) {
                        *is_counter |= kind == "counter" && (own == name || own.strip_suffix("_total") == Some(name));
                    }
                }
                Line::Sample { name, value } => *sums.entry(name).or_default() += value,
            }
        }
        let of = |server: &Names| {
            let mut said = [None; SAID];
            for (what, names) in server.rows {
                said[*what as usize] = names.iter().find_map(|name| sums.get(name).copied());
            }
            if let (true, Some(hits)) = (server.leaves_out_cached, said[PrefixHits as usize]) {
                said[PromptTokens as usize] = said[PromptTokens as usize].map(|others| others + hits);
                said[PrefixQueries as usize] = said[PromptTokens as usize];
            }
            said
        };
        let known = SERVERS.iter().map(|server| (server.title, of(server)));
        let most = known.max_by_key(|(_, said)| said.iter().flatten().count());
        let most = most.filter(|(_, said)| said.iter().any(Option::is_some));
        Self {
            server: most.map(|(title, _)| title),
            said: most.map_or([None; SAID], |(_, said)| said),
            own: own.iter().map(|name| sums.get(name.as_str()).copied()).collect(),
            counters,
        }
    }

    /// Returns the value of one quantity.
    pub const fn get(&self, what: Said) -> Option<f64> {
        self.said[what as usize]
    }

    /// Returns true if any quantity or name was found.
    pub fn says_anything(&self) -> bool {
        self.server.is_some() || self.own.iter().any(Option::is_some)
    }

    /// Returns how much a count has grown since an earlier report. `None` if it has shrunk, as
    /// after a restart.
    pub fn grown(&self, earlier: &Self, what: Said) -> Option<f64> {
        grown(earlier.get(what), self.get(what))
    }
}

/// Returns how much a count has grown. A counter that did not exist before counts from zero.
pub fn grown(before: Option<f64>, after: Option<f64>) -> Option<f64> {
    let grown = after? - before.unwrap_or_default();
    (grown >= 0.0).then_some(grown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VLLM: &[u8] = b"# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine=\"0\"} 3.0\n\
        vllm:num_requests_running{engine=\"1\"} 1.0\nvllm:request_success_total{finished_reason=\"stop\"} 7\n\
        vllm:request_success_total{finished_reason=\"length\"} 2\nvllm:gpu_cache_usage_perc NaN\n\
        vllm:time_to_first_token_seconds_sum 1.5\nvllm:time_to_first_token_seconds_count 10\n\
        # TYPE my_things counter\nmy_things_total 4\nllamacpp:requests_processing 9\n";

    #[test]
    fn the_names_of_the_server_that_has_most_of_them_count() {
        let own = ["my_things_total", "absent"].map(str::to_owned);
        let report = Report::read(VLLM, &own);
        assert_eq!(report.server, Some("vLLM"));
        let said = [Running, Requests, KvUse, TtftSum, Waiting].map(|what| report.get(what));
        assert_eq!(said, [Some(4.0), Some(9.0), None, Some(1.5), None]);
        assert_eq!((report.own.as_slice(), report.counters.as_slice()), (&[Some(4.0), None][..], &[true, false][..]));
    }

    #[test]
    fn prompt_tokens_of_the_cache_are_prompt_tokens_too() {
        let text = b"llamacpp:prompt_tokens_total 30\nllamacpp:prompt_tokens_cached_total 10\n";
        let report = Report::read(text, &[]);
        let said = [PromptTokens, PrefixHits, PrefixQueries].map(|what| report.get(what));
        assert_eq!(said, [Some(40.0), Some(10.0), Some(40.0)]);
    }

    #[test]
    fn a_mean_of_each_request_is_not_a_time_between_tokens() {
        let text = b"tgi_batch_current_size 2\ntgi_request_mean_time_per_token_duration_sum 1.5\n\
            tgi_request_mean_time_per_token_duration_count 10\n";
        let report = Report::read(text, &[]);
        assert_eq!((report.server, report.get(Running)), (Some("TGI"), Some(2.0)));
        assert_eq!([ItlSum, ItlCount].map(|what| report.get(what)), [None, None]);
    }

    #[test]
    fn what_is_unknown_says_nothing() {
        for text in [&b""[..], b"<html>", b"process_cpu_seconds_total 3\n"] {
            let report = Report::read(text, &[]);
            assert!(!report.says_anything() && report.server.is_none(), "{report:?}");
        }
    }

    #[test]
    fn counts_grow_and_what_shrinks_says_nothing() {
        let at = |n: u32| Report::read(format!("llamacpp:prompt_tokens_total {n}\n").as_bytes(), &[]);
        assert_eq!(at(12).grown(&at(5), PromptTokens), Some(7.0));
        assert_eq!(at(5).grown(&at(12), PromptTokens), None, "a restart");
        assert_eq!(at(5).grown(&Report::default(), PromptTokens), Some(5.0), "it had counted nothing yet");
        assert_eq!(at(5).grown(&at(5), Requests), None);
    }

    #[test]
    fn no_name_stands_for_two_things_of_one_server() {
        for server in &SERVERS {
            let mut seen = std::collections::BTreeSet::new();
            for (what, _) in server.rows {
                assert!(seen.insert(*what as usize), "{} {what:?}", server.title);
            }
        }
    }
}
