//! What is answered to whom.

use super::door::{Answer, Door, Shown};
use super::hub::{Event, Hub};
use crate::prometheus::Format;
use crate::report::html::live::page_policy;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_core::Stream;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc::Receiver;

/// Longest wait for the document so far: it comes with the end of a second, and that of all shards
/// two seconds later.
const DOCUMENT_WAIT: Duration = Duration::from_secs(5);
/// How often a quiet stream says that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// What all requests share.
pub(super) struct Shared {
    pub(super) door: Door,
    pub(super) hub: Mutex<Hub>,
    /// A browser waits for the document so far.
    pub(super) wanted: Arc<AtomicBool>,
    /// A document has come.
    pub(super) came: Notify,
    /// Held once by each stream that is open.
    pub(super) open: Arc<()>,
}

impl Shared {
    /// What the page knows. Nobody waits while they hold it.
    pub(super) fn hub(&self) -> std::sync::MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/events", get(events))
        .route("/api/v1/run", get(document))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is nothing here: see /\n") })
        .layer(from_fn_with_state(Arc::clone(&shared), guard))
        .with_state(shared)
}

/// Lets in whom the door lets in, and tells browsers to keep and to frame nothing.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut response = match asks(&shared.door, &request) {
        Answer::ComeIn => next.run(request).await,
        Answer::Remember(cookie) => {
            let place = request.uri().path().to_owned();
            (StatusCode::SEE_OTHER, [(header::LOCATION, place), (header::SET_COOKIE, cookie)]).into_response()
        }
        Answer::WrongHost => {
            (StatusCode::FORBIDDEN, "this page answers at http://127.0.0.1 and http://localhost only\n").into_response()
        }
        Answer::NoToken => {
            let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
            let text = "this page needs the token of --web-token: add ?token=TOKEN to its address\n";
            (StatusCode::UNAUTHORIZED, challenge, text).into_response()
        }
    };
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn asks(door: &Door, request: &Request) -> Answer {
    let text = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    door.asks(Shown {
        // A request line with a whole URL has its host there (RFC 9112, section 3.2.2).
        host: request.uri().authority().map(axum::http::uri::Authority::as_str).or_else(|| text(header::HOST)),
        authorization: text(header::AUTHORIZATION),
        cookie: text(header::COOKIE),
        query: request.uri().query(),
    })
}

async fn page(State(shared): State<Arc<Shared>>) -> Response {
    let Some(page) = shared.hub().page() else {
        // A browser that is early comes again by itself.
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "1"), (HeaderName::from_static("refresh"), "1")],
            "The run has not begun yet. This page reloads by itself.\n",
        )
            .into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, page_policy()),
    ];
    (headers, page).into_response()
}

/// The seconds as they come.
async fn events(State(shared): State<Arc<Shared>>) -> Response {
    let Some(events) = shared.hub().listen() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many browsers, or the run is over\n").into_response();
    };
    let stream = Events { events, _open: Arc::clone(&shared.open) };
    let sse = Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // Proxies must not collect what belongs to a second.
    ([(HeaderName::from_static("x-accel-buffering"), "no")], sse).into_response()
}

struct Events {
    events: Receiver<Event>,
    _open: Arc<()>,
}

impl Stream for Events {
    type Item = Result<sse::Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_recv(context).map(|event| {
            let Event { name, data } = event?;
            Some(Ok(sse::Event::default().event(name).data(&*data)))
        })
    }
}

/// The metrics so far, for a scrape.
async fn metrics(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let accept: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = Format::accepted(&accept.join(","));
    // Writing takes a while: nobody is to wait for it.
    let exposition = shared.hub().exposition();
    ([(header::CONTENT_TYPE, format.content_type())], exposition.render(format)).into_response()
}

/// The document so far, made at the end of the second in which it was asked for. That of a sweep
/// changes with its steps, and is there.
async fn document(State(shared): State<Arc<Shared>>) -> Response {
    let came = shared.came.notified();
    tokio::pin!(came);
    // From here on a document that comes is not missed.
    came.as_mut().enable();
    let is_there = shared.hub().has_latest();
    if !is_there {
        shared.wanted.store(true, Ordering::Relaxed);
        let _ = tokio::time::timeout(DOCUMENT_WAIT, came).await;
    }
    match shared.hub().document() {
        Some(text) => {
            let head = [(header::CONTENT_TYPE, "application/json")];
            (head, Body::from(text.as_bytes().to_vec())).into_response()
        }
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "1")],
            "no second of the run is over yet: try again\n",
        )
            .into_response(),
    }
}
