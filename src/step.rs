//! The generic layer for steps that await before they call the inner service. A [`Step`] holds only
//! its own logic; readiness and boxing are handled here, once.
//!
//! A step that awaits must call the instance of the inner service that was polled ready: a clone
//! may not be ready. So the ready one moves into the future, and a clone takes its place for the
//! next request. An awaiting future has no name, so it is boxed: one box a step, and none where a
//! step passes a request on at once.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tower::{Layer, Service};

/// The logic of a layer that takes `T` and stands above the service `S`.
pub trait Step<T, S>: Send + Sync + 'static {
    /// Request that it passes to the inner service.
    type HandsOn;
    /// Response.
    type Response;
    /// Error.
    type Error;
    /// Future of the response: a box, or a type that holds one only for requests that wait.
    type Future: Future<Output = Result<Self::Response, Self::Error>>;

    /// Handles a request, and passes it on at once or later.
    fn take(self: &Arc<Self>, taken: T, below: Below<'_, S>) -> Self::Future;
}

/// A service below: a step's inner one, or the stack below a connection. Takes `T`, responds with
/// `R` or fails with `E`.
pub trait Under<T, R, E>:
    Service<T, Response = R, Error = E, Future: Send> + Clone + Send + 'static
{
}

impl<S, T, R, E> Under<T, R, E> for S where
    S: Service<T, Response = R, Error = E, Future: Send> + Clone + Send + 'static
{
}

/// The inner service, polled ready.
pub struct Below<'a, S>(&'a mut S);

impl<S> Below<'_, S> {
    /// Calls it at once.
    pub fn hand_on<T>(self, next: T) -> S::Future
    where
        S: Service<T>,
    {
        self.0.call(next)
    }

    /// Awaits first; the future gets the instance that was polled ready.
    pub fn later<F>(self, awaited: impl FnOnce(S) -> F) -> BoxFuture<'static, F::Output>
    where
        S: Clone,
        F: Future + Send + 'static,
    {
        let clone = self.0.clone();
        Box::pin(awaited(std::mem::replace(self.0, clone)))
    }
}

/// Creates the layer of a step.
pub fn step<P>(step: P) -> StepLayer<P> {
    StepLayer(Arc::new(step))
}

/// Makes [`Stepped`].
pub struct StepLayer<P>(Arc<P>);

impl<P, S> Layer<S> for StepLayer<P> {
    type Service = Stepped<P, S>;

    fn layer(&self, below: S) -> Stepped<P, S> {
        Stepped { step: Arc::clone(&self.0), below }
    }
}

/// The service of a step.
pub struct Stepped<P, S> {
    step: Arc<P>,
    below: S,
}

impl<P, S: Clone> Clone for Stepped<P, S> {
    fn clone(&self) -> Self {
        Self { step: Arc::clone(&self.step), below: self.below.clone() }
    }
}

impl<T, P, S> Service<T> for Stepped<P, S>
where
    P: Step<T, S>,
    S: Service<P::HandsOn>,
{
    type Response = P::Response;
    type Error = P::Error;
    type Future = P::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), P::Error>> {
        // No service of ours fails before it is called; what it has to say it says to the step.
        self.below.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, taken: T) -> P::Future {
        self.step.take(taken, Below(&mut self.below))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{Ready, ready};

    use super::*;

    /// Takes one call for each time that it was polled ready, and says whether it was.
    #[derive(Default)]
    struct OncePolled(bool);

    impl Clone for OncePolled {
        fn clone(&self) -> Self {
            Self(false)
        }
    }

    impl Service<()> for OncePolled {
        type Response = bool;
        type Error = Infallible;
        type Future = Ready<Result<bool, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            self.0 = true;
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            ready(Ok(std::mem::take(&mut self.0)))
        }
    }

    struct Waits;

    impl<S: Under<(), bool, Infallible>> Step<(), S> for Waits {
        type HandsOn = ();
        type Response = bool;
        type Error = Infallible;
        type Future = BoxFuture<'static, Result<bool, Infallible>>;

        fn take(self: &Arc<Self>, (): (), below: Below<'_, S>) -> Self::Future {
            below.later(|mut below| async move {
                tokio::task::yield_now().await;
                below.call(()).await
            })
        }
    }

    #[tokio::test]
    async fn a_step_calls_the_service_that_was_polled_ready() {
        let mut service = step(Waits).layer(OncePolled::default());
        for _ in 0..2 {
            let is_ready = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
            assert_eq!(is_ready, Ok(()));
            assert_eq!(service.call(()).await, Ok(true));
        }
        assert_eq!(service.call(()).await, Ok(false), "nobody polled it");
    }
}
