//! The page's routes and their responses.

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

/// Longest wait for the document so far. It comes at the end of a second, and that of all shards
/// two seconds later.
const DOCUMENT_WAIT: Duration = Duration::from_secs(5);
/// Interval of keep-alive comments on a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// State that all requests share.
pub(super) struct Shared {
    pub(super) door: Door,
    pub(super) hub: Mutex<Hub>,
    /// Set while a browser waits for the document so far.
    pub(super) wanted: Arc<AtomicBool>,
    /// Notified when a document has come.
    pub(super) came: Notify,
    /// Cloned by each open stream.
    pub(super) open: Arc<()>,
}

impl Shared {
    /// Locks the page's state. The lock must not be held across an await.
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
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found: see /\n") })
        .layer(from_fn_with_state(Arc::clone(&shared), guard))
        .with_state(shared)
}

/// Enforces the door's decision, and adds headers that forbid caching and framing.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut response = match asks(&shared.door, &request) {
        Answer::ComeIn => next.run(request).await,
        Answer::Remember(cookie) => {
            let place = request.uri().path().to_owned();
            (StatusCode::SEE_OTHER, [(header::LOCATION, place), (header::SET_COOKIE, cookie)]).into_response()
        }
        Answer::WrongHost => {
            (StatusCode::FORBIDDEN, "this page is available at http://127.0.0.1 and http://localhost only\n")
                .into_response()
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
        // If the request line has a whole URL, the host is in it (RFC 9112, section 3.2.2).
        host: request.uri().authority().map(axum::http::uri::Authority::as_str).or_else(|| text(header::HOST)),
        authorization: text(header::AUTHORIZATION),
        cookie: text(header::COOKIE),
        query: request.uri().query(),
    })
}

async fn page(State(shared): State<Arc<Shared>>) -> Response {
    let Some(page) = shared.hub().page() else {
        // A browser that is early reloads by itself.
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

/// Streams the seconds as they come.
async fn events(State(shared): State<Arc<Shared>>) -> Response {
    let Some(events) = shared.hub().listen() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many browsers, or the run is over\n").into_response();
    };
    let stream = Events { events, _open: Arc::clone(&shared.open) };
    let sse = Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // Proxies must not buffer the stream.
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

/// Returns the metrics so far, for a scrape.
async fn metrics(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let accept: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = Format::accepted(&accept.join(","));
    // Rendering takes a while, so it happens outside the lock.
    let exposition = shared.hub().exposition();
    ([(header::CONTENT_TYPE, format.content_type())], exposition.render(format)).into_response()
}

/// Returns the document so far, made at the end of the second in which it was requested. The
/// document of a sweep changes only with its steps, so it is returned at once.
async fn document(State(shared): State<Arc<Shared>>) -> Response {
    let came = shared.came.notified();
    tokio::pin!(came);
    // A document that comes after this point is not missed.
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
            "the first second of the run is not over yet: try again\n",
        )
            .into_response(),
    }
}
