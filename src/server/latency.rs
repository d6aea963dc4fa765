//! Reads the latency from a configuration of llmsim.

/// Time to first token and time between tokens, in ms, as means and standard deviations of normal
/// distributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// Mean time to the first event, which holds the role.
    pub ttft_mean_ms: u64,
    pub ttft_stddev_ms: u64,
    /// Mean time before each token.
    pub tbt_mean_ms: u64,
    pub tbt_stddev_ms: u64,
}

/// The named profiles of llmsim 0.6, each with all its names.
const PROFILES: [(&[&str], [u64; 4]); 15] = [
    (&["gpt5", "gpt-5"], GPT5),
    (&["gpt5-mini", "gpt-5-mini"], [300, 80, 20, 6]),
    (&["o3", "o4", "o-series"], [2000, 500, 30, 10]),
    (&["gpt4", "gpt-4"], [800, 200, 50, 15]),
    (&["gpt4o", "gpt-4o"], [400, 100, 25, 8]),
    (&["claude-opus", "opus"], [1000, 250, 60, 20]),
    (&["claude-sonnet", "sonnet"], [500, 120, 30, 10]),
    (&["claude-haiku", "haiku"], [200, 50, 15, 5]),
    (&["gemini", "gemini-pro"], [600, 150, 35, 10]),
    (&["gemini-flash"], [200, 50, 15, 5]),
    (&["deepseek", "deepseek-chat"], [500, 120, 30, 10]),
    (&["deepseek-reasoner"], [1500, 400, 25, 8]),
    (&["jev"], [150, 40, 0, 0]),
    (&["instant"], [0; 4]),
    (&["fast"], [10, 2, 1, 0]),
];

/// The values for an unknown name, and for numbers that are left out.
const GPT5: [u64; 4] = [600, 150, 40, 12];

/// Returns the latency of a configuration. `None` if the latency depends on the model of each
/// request, or if the configuration is not understood.
pub fn configured(toml: &str) -> Option<Latency> {
    let config: toml::Table = toml.parse().ok()?;
    let latency = config.get("latency")?.as_table()?;
    let number = |key: &str| latency.get(key).and_then(toml::Value::as_integer).and_then(|n| u64::try_from(n).ok());
    let numbers = if let Some(profile) = latency.get("profile").and_then(toml::Value::as_str) {
        let profile = profile.to_lowercase();
        PROFILES.iter().find(|(names, _)| names.contains(&profile.as_str())).map_or(GPT5, |(_, numbers)| *numbers)
    } else {
        // Without this number, llmsim chooses by the model, whatever the other numbers are.
        number("ttft_mean_ms")?;
        let keys = ["ttft_mean_ms", "ttft_stddev_ms", "tbt_mean_ms", "tbt_stddev_ms"];
        std::array::from_fn(|i| number(keys[i]).unwrap_or(GPT5[i]))
    };
    let [ttft_mean_ms, ttft_stddev_ms, tbt_mean_ms, tbt_stddev_ms] = numbers;
    Some(Latency { ttft_mean_ms, ttft_stddev_ms, tbt_mean_ms, tbt_stddev_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read_as_llmsim_does() {
        let of = |text: &str| configured(&format!("[latency]\n{text}\n")).map(|l| (l.ttft_mean_ms, l.tbt_stddev_ms));
        assert_eq!(of("profile = \"fast\""), Some((10, 0)));
        assert_eq!(of("profile = \"GPT-4o\""), Some((400, 8)));
        assert_eq!(of("profile = \"no such\""), Some((600, 12)));
        assert_eq!(of("ttft_mean_ms = 33\ntbt_stddev_ms = 2"), Some((33, 2)));
        assert_eq!(of("profile = \"instant\"\nttft_mean_ms = 33"), Some((0, 0)), "a name beats numbers");
        assert_eq!((of("tbt_mean_ms = 3"), of(""), configured(""), configured("= x")), (None, None, None, None));
    }

    #[cfg(feature = "embedded")]
    #[test]
    fn the_table_is_that_of_the_llmsim_inside() {
        for (names, numbers) in PROFILES {
            for name in names {
                let config = format!("[latency]\nprofile = \"{name}\"");
                let theirs = llmsim::cli::Config::from_toml(&config).expect("valid").latency_profile();
                let theirs = [theirs.ttft_mean_ms, theirs.ttft_stddev_ms, theirs.tbt_mean_ms, theirs.tbt_stddev_ms];
                assert_eq!(theirs, numbers, "{name}");
            }
        }
    }
}
