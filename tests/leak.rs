//! A server that leaks on purpose is detected. The server is this test process, so nothing else may
//! run in it.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use support::{Bench, watched};

/// Memory that the leaking server keeps for each request. At 15 requests a second or more, memory
/// doubles in a second or two, which noise does not do.
const LEAK_BYTES: usize = 1_000_000;

/// Starts a server that answers `GET /health` and frees nothing.
fn leaking_server() -> String {
    fn serve(stream: TcpStream) -> std::io::Result<()> {
        let mut answers = stream.try_clone()?;
        for line in BufReader::new(stream).lines() {
            if !line?.is_empty() {
                continue;
            }
            // Written, so that the memory is resident. Leaked, so that it is not freed at the end
            // of a connection.
            Box::leak(vec![1_u8; LEAK_BYTES].into_boxed_slice());
            let body = r#"{"status":"ok","service":"leak"}"#;
            let length = body.len();
            write!(
                answers,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            )?;
        }
        Ok(())
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    url
}

#[test]
fn a_server_that_leaks_is_found_out() {
    let (url, bench) = (leaking_server(), Bench::new());
    let (code, document) = watched(&url, std::process::id(), &bench);
    let server = &document["server"];
    assert_eq!((code, server["verdict"].as_str()), (Some(99), Some("growing")), "{server}");
    assert!(server["growth"]["low_bytes_per_h"].as_f64() > Some(1e9), "{server}");
    assert_eq!(document["thresholds"][0]["verdict"], "fail", "{}", document["thresholds"]);
    assert_eq!(document["thresholds"][1]["verdict"], "pass", "{}", document["thresholds"]);
    assert!(document["outside"]["http_reqs"].as_u64() > Some(0), "the warm-up is told, too");
    assert_eq!((&document["run"]["window_s"], &document["run"]["warmup_s"]), (&12.0.into(), &2.0.into()));
}
