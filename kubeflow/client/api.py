"""The API of Kubeflow Pipelines: a client that asks one thing at a time, and its errors in one sentence."""

import contextlib
import io
import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import kfp
import kfp.client
import kfp_server_api
import urllib3

from trainer.errors import ReportedError, UserError

SECONDS = (10, 60)  # to connect, and between two pieces of an answer
PAGE = 100  # things in an answer
LONGEST_PAUSE = 60.0  # seconds between two tries


class ApiError(ReportedError):
    """Kubeflow Pipelines did not do what it was asked; `transient` if it may do it later."""

    def __init__(self, message: str, status: int | None = None, transient: bool = False) -> None:
        super().__init__(message)
        self.status, self.transient = status, transient


class _Client(kfp.Client):
    """Asks the server nothing while it is made; KFP's own asks for its health, for 25 s where that is refused."""

    def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:  # noqa: ARG002
        return kfp_server_api.V2beta1GetHealthzResponse(multi_user=False)


class Api:
    """Kubeflow Pipelines at one address, for one namespace.

    `client` has the generated calls of the API: `pipelines`, `pipeline_uploads`, `experiments`, `runs`,
    `recurring_runs`.
    """

    def __init__(self, client: Any, namespace: str, host: str) -> None:
        self.client, self.namespace = client, namespace
        self._host = host or "Kubeflow Pipelines"
        self._ui = os.environ.get("KF_PIPELINES_UI_ENDPOINT") or host or "/pipeline"

    def ask(self, what: str, call: Callable[..., Any], *arguments: Any, patience: float = 0, **keywords: Any) -> Any:
        """The answer of `call`; what may pass is tried again, with longer and longer pauses of `patience` s in all.

        Raises:
          ApiError: it did not do `what`, an infinitive.
        """
        waited, pause = 0.0, 1.0
        while True:
            try:
                return self._once(what, call, *arguments, **keywords)
            except ApiError as error:
                if not error.transient or waited >= patience:
                    raise
            time.sleep(pause)
            waited += pause
            pause = min(2 * pause, LONGEST_PAUSE)

    def every(self, what: str, call: Callable[..., Any], field: str, **keywords: Any) -> Iterator[Any]:
        """What is in `field` of the answers of `call`, over all pages."""
        token = ""
        while True:
            page = self.ask(what, call, page_size=PAGE, page_token=token, **keywords)
            yield from getattr(page, field) or []
            token = page.next_page_token
            if not token:
                return

    def url(self, run: str) -> str:
        """Where the UI shows the run."""
        return f"{self._ui.rstrip('/')}/#/runs/details/{run}"

    def _once(self, what: str, call: Any, *arguments: Any, **keywords: Any) -> Any:
        try:
            answer = call(*arguments, _request_timeout=SECONDS, **keywords)
        except kfp_server_api.ApiException as error:
            raise self._refusal(what, error) from None
        except urllib3.exceptions.HTTPError as error:
            reason = str(getattr(error, "reason", None) or error).split(": ", 1)[-1]
            raise ApiError(
                f"{self._host} cannot be reached to {what}: {reason}. Is --host (or KF_PIPELINES_ENDPOINT) its "
                "address, and is there a way to it from here, as by kubectl port-forward?",
                transient=True,
            ) from None
        except (TypeError, ValueError, OSError) as error:
            raise ApiError(f"{self._host} was asked to {what}, and its answer is not understood: {error}") from None
        kind = call.__self__.api_client.last_response.getheader("content-type") or ""
        if "json" not in kind:
            raise ApiError(self._login(what, f"it answers with a page ({kind or 'of no type'})"))
        return answer

    def _refusal(self, what: str, error: Any) -> ApiError:
        status, said = error.status, _said(error.body)
        words = f": {said}" if said else ""
        if not status:  # TLS
            text = f"{self._host} cannot be trusted to {what}: {' '.join(str(error.reason).split())}. Name the file "
            text += "with its authority's certificate in SSL_CERT_FILE"
        elif status == 401:
            text = self._login(what, "it does not know who asks (401)")
        elif status == 403:
            text = f"{self._host} does not let this account {what} in namespace {self.namespace} (403){words}. "
            text += "Ask its administrator for the role kubeflow-edit there, or check the namespace in cluster.yaml"
        elif status == 404 and not said:
            text = f"{self._host} has no API of Kubeflow Pipelines v2 to {what} (404). Is --host the address with its "
            text += "path, as https://kubeflow.example.com/pipeline?"
        elif status == 429 or status >= 500:
            text = f"{self._host} failed to {what} ({status}{words}). Try again; if it stays, look at the log of its "
            text += "deployment ml-pipeline"
        else:
            text = f"{self._host} refuses to {what} ({status}{words or ' ' + str(error.reason)})"
        return ApiError(text, status, status == 429 or status >= 500)

    def _login(self, what: str, finding: str) -> str:
        return (
            f"{self._host} wants a login to {what}: {finding}. Give --token-file or --cookie-file; in a pod of the "
            "cluster mount a token at KF_PIPELINES_SA_TOKEN_PATH"
        )


def connect(
    namespace: str, host: str | None = None, token_file: str | None = None, cookie_file: str | None = None
) -> Api:
    """Kubeflow Pipelines at `host`, else KF_PIPELINES_ENDPOINT, else of the cluster around us or of kubectl's context.

    Who asks is said, as KFP's client does it, by the token in `token_file` or in a pod's KF_PIPELINES_SA_TOKEN_PATH,
    which is read anew for each request, by the cookie in `cookie_file`, or by ~/.config/kfp/context.json.

    Raises:
      UserError: there is no address, or a file cannot be read.
    """
    host = (host or os.environ.get(kfp.client.client.KF_PIPELINES_ENDPOINT_ENV) or "").rstrip("/")
    said = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(said):
        warnings.simplefilter("ignore")
        client = _Client(
            host=host or None,
            credentials=_credentials(token_file),
            cookies=_read(cookie_file) if cookie_file else None,
            ssl_ca_cert=os.environ.get("SSL_CERT_FILE"),
        )
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its retries are no news; the client has set WARNING
    if said.getvalue():  # that there is no kubeconfig
        raise UserError("no address of Kubeflow Pipelines: give --host, or set KF_PIPELINES_ENDPOINT")
    return Api(client, namespace, host)


def where(name: str, value: str) -> str:
    """The filter of the API's lists for what has `value` in the field `name`."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": name, "stringValue": value}]})


def _credentials(token_file: str | None) -> Any:
    path = token_file or os.environ.get(kfp.client.KF_PIPELINES_SA_TOKEN_ENV)
    if path:
        _read(path)
    elif not os.path.exists(kfp.client.KF_PIPELINES_SA_TOKEN_PATH):
        return None
    return kfp.client.ServiceAccountTokenVolumeCredentials(path)


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def _said(body: Any) -> str:
    """What the server says in its JSON; of its nested messages the last is the cause."""
    try:
        values = json.loads(body)
        text = values.get("message") or values.get("error_message") or values.get("error") or ""
    except (TypeError, ValueError, AttributeError):
        return ""
    return " ".join(str(text).split())[-300:].rstrip(".")
