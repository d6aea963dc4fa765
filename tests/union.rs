//! All shards together send what one process sends, byte for byte, for every kind of drawn or
//! recorded input.

mod support;

use support::{Behaviour, Bench, Misbehaving, blast};

/// Numbers of shards. Six VUs and more requests are enough for each.
const SHARDS: [u32; 3] = [1, 2, 5];

const PER_USER: &str = "executor = \"per-vu-iterations\"\nvus = 6\niterations = 5\n";
const LOADS: [&str; 3] = [
    PER_USER,
    "executor = \"shared-iterations\"\nvus = 6\niterations = 37\n",
    "executor = \"constant-arrival-rate\"\nrate = 60\nduration = \"500ms\"\nmax_vus = 20\n",
];
const CHAT: &str = "[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\nstream = true\n";

/// Returns all requests, head and body, sorted by their bytes.
fn sent(profile: &str, of: u32) -> Vec<String> {
    let server = Misbehaving::start(Behaviour::Good { tokens: 2 });
    // Replace the address, so that heads can be compared as well.
    let host = server.url().trim_start_matches("http://").to_owned();
    for shard in 0..of {
        let shard = format!("{shard}/{of}");
        let args = [profile, "--target-url", &server.url(), "--seed", "11", "--shard", &shard, "--no-probe", "--quiet"];
        let output = blast(&args);
        assert_eq!(output.code, Some(0), "shard {shard}: {output:?}");
    }
    let mut posts: Vec<String> = server.posts().iter().map(|post| post.replace(&host, "HOST")).collect();
    posts.sort();
    posts
}

/// Compares the requests of one process with those of the shards.
fn compare(load: &str, lines: &str) {
    let bench = Bench::new();
    bench.write("lengths.csv", "input,output\n7,3\n70,1\n700,2\n");
    let sample = |name: &str| format!("{}/tests/samples/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = format!("{load}{lines}");
    let text = text.replace("CHATS", &sample("chat.jsonl")).replace("TRACE", &sample("mooncake.jsonl"));
    let profile = bench.write("p.toml", &text);
    let [one, more @ ..] = SHARDS.map(|of| sent(&profile, of));
    assert!(one.len() >= 9, "{lines}: {} requests", one.len());
    for (posts, of) in more.iter().zip(&SHARDS[1..]) {
        assert_eq!(posts.len(), one.len(), "{load}{lines}: {of} shards");
        assert!(posts == &one, "{load}{lines}: {of} shards send other bytes than one process");
    }
}

#[test]
fn prompts_that_are_drawn() {
    let all = [
        "",
        "prompt = { tokens = 512 }\n",
        "prompt = { tokens = { normal = { mean = 64, stddev = 16 }, min = 1, max = 128 } }\n",
        "prompt = { tokens = { lognormal = { mean = 64, stddev = 64 }, min = 1, max = 512 } }\n",
        "prompt = { tokens = { file = \"lengths.csv\" } }\n",
        "prompt = { tokens = 9 }\nprefix = { tokens = 40, groups = 8, zipf = 1.0 }\n",
        "prompt = { tokens = 9 }\noutput = { tokens = { uniform = { min = 1, max = 256 } } }\n",
        "prompt = { tokens = 9 }\nmodel = [{ name = \"base\", weight = 9 }, { name = \"lora\", weight = 1 }]\n",
        "prompt = \"@text:60\"\n",
        "weight = 3\n[[requests]]\nname = \"plain\"\napi = \"openai-chat\"\nprompt = { tokens = 20 }\n",
    ];
    for (lines, load) in all.iter().zip(LOADS.iter().cycle()) {
        compare(load, &format!("{CHAT}{lines}"));
    }
}

#[test]
fn rows_of_a_data_set() {
    for (order, load) in ["sequential", "shuffled", "once"].iter().zip(LOADS) {
        compare(load, &format!("{CHAT}dataset = {{ file = \"CHATS\", order = \"{order}\" }}\n"));
    }
}

#[test]
fn rows_of_a_trace() {
    for more in ["", ", loop = 2", ", from = \"200ms\", for = \"1s\""] {
        let trace =
            format!("executor = \"trace\"\nmax_vus = 100\ntrace = {{ file = \"TRACE\", speed = 20.0{more} }}\n");
        compare(&trace, CHAT);
    }
}

#[test]
fn conversations() {
    for lines in [
        "prompt = { tokens = 5 }\nconversation = { turns = { min = 1, max = 5 } }\n",
        "conversation = { history = \"recorded\" }\ndataset = { file = \"CHATS\" }\n",
    ] {
        compare(PER_USER, &format!("{CHAT}{lines}"));
    }
}
