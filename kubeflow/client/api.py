"""The API of Kubeflow Pipelines: a client, and its errors in one sentence."""

import contextlib
import functools
import io
import json
import logging
import os
import ssl
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
LONGEST_PAUSE = 60.0  # seconds between two attempts
LOGIN = "Give --token-file or --cookie-file; in a pod of the cluster, mount a token at KF_PIPELINES_SA_TOKEN_PATH"


class ApiError(ReportedError):
    """A request that Kubeflow Pipelines did not fulfil.

    Arguments:
      status: of HTTP; None without an answer.
      transient: whether the same request may succeed later.
      fields: of the failure, whose value is the status.
    """

    def __init__(self, sentence: str, *, status: int | None = None, transient: bool = False, **fields: Any) -> None:
        super().__init__(sentence, value=status, **fields)
        self.status, self.transient = status, transient


class _Client(kfp.Client):
    """KFP's client without its request at the start, which takes 25 s where the server refuses it."""

    def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:  # noqa: ARG002
        return kfp_server_api.V2beta1GetHealthzResponse(multi_user=False)


class Api:
    """Kubeflow Pipelines at one address, for one namespace.

    `client` has the generated calls of the API: `pipelines`, `pipeline_uploads`, `experiments`, `runs`,
    `recurring_runs`. `ui` is the address of the UI, which is not that of the API; empty: unknown.
    """

    def __init__(self, client: Any, namespace: str, host: str, ui: str) -> None:
        self.client, self.namespace, self.ui = client, namespace, ui.rstrip("/")
        self._host = host or "Kubeflow Pipelines"

    def ask(
        self,
        what: str,
        call: Callable[..., Any],
        *arguments: Any,
        patience: float = 0,
        media: str = "json",
        **keywords: Any,
    ) -> Any:
        """Returns the answer of `call`. Repeats a transient error, with growing pauses of `patience` s in all.

        Raises:
          ApiError: Kubeflow did not do `what`, an infinitive.
        """
        waited, pause = 0.0, 1.0
        while True:
            try:
                return self._once(what, media, call, *arguments, **keywords)
            except ApiError as error:
                if not error.transient or waited >= patience:
                    raise
            time.sleep(pause)
            waited += pause
            pause = min(2 * pause, LONGEST_PAUSE)

    def get(self, what: str, path: str, patience: float = 0, media: str = "json", **names: str) -> Any:
        """Returns the answer of an endpoint that the generated client lacks: parsed JSON, or the text of other media.

        `names` fill in the `path`.

        Raises:
          ApiError: Kubeflow did not do `what`, or its answer is of another type than `media`.
        """
        api_client = self.client.runs.api_client
        call = functools.partial(
            api_client.call_api,
            path,
            "GET",
            names,
            header_params={"Accept": "*/*"},
            response_type="object" if media == "json" else None,
            auth_settings=["Bearer"],
            _return_http_data_only=True,
        )
        parsed = self.ask(what, call, patience=patience, media=media)
        return parsed if media == "json" else api_client.last_response.data

    def every(self, what: str, call: Callable[..., Any], field: str, **keywords: Any) -> Iterator[Any]:
        """Yields the content of `field` in the answers of `call`, over all pages."""
        token = ""
        while True:
            page = self.ask(what, call, page_size=PAGE, page_token=token, **keywords)
            yield from getattr(page, field) or []
            token = page.next_page_token
            if not token:
                return

    def url(self, run: str) -> str:
        """Returns the address of the run in the UI; without the UI's own, its path."""
        return f"{self.ui}/#/runs/details/{run}" if self.ui else f"#/runs/details/{run}"

    def _once(self, what: str, media: str, call: Any, *arguments: Any, **keywords: Any) -> Any:
        try:
            answer = call(*arguments, _request_timeout=SECONDS, **keywords)
        except kfp_server_api.ApiException as error:
            raise self._refusal(what, error) from None
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(what, getattr(error, "reason", None) or error) from None
        except (TypeError, ValueError, OSError) as error:
            raise ApiError(f"{self._host} was asked to {what} and gave an unexpected answer: {error}") from error
        kind = self.client.runs.api_client.last_response.getheader("content-type") or "of no type"
        if media not in kind:
            raise ApiError(f"{self._host} wants a login to {what}: it answers with a page ({kind})", remedy=LOGIN)
        return answer

    def _unreachable(self, what: str, reason: Exception) -> ApiError:
        if reason.args and isinstance(reason.args[0], ssl.SSLCertVerificationError):
            said = reason.args[0].verify_message
            remedy = "Set SSL_CERT_FILE to a file with the certificate of its authority"
            return ApiError(f"{self._host} is not trusted to {what}: {said}", remedy=remedy, cause=said)
        said = str(reason).split(": ", 1)[-1]
        remedy = "Check --host (or KF_PIPELINES_ENDPOINT), and the way to it, such as kubectl port-forward"
        sentence = f"{self._host} cannot be reached to {what}: {said}"
        return ApiError(sentence, transient=True, remedy=remedy, cause=said)

    def _refusal(self, what: str, error: Any) -> ApiError:
        status, said = error.status, _said(error.body)
        words, transient = f": {said}" if said else "", status == 429 or status >= 500
        if status == 401:
            sentence, remedy = f"{self._host} wants a login to {what} (401)", LOGIN
        elif status == 403:
            sentence = f"{self._host} does not let this account {what} in namespace {self.namespace} (403){words}"
            remedy = "Ask its administrator for the role kubeflow-edit there, or check namespace in cluster.yaml"
        elif status == 404 and not said:
            sentence = f"{self._host} has no API of Kubeflow Pipelines v2 to {what} (404)"
            remedy = "Check that --host has the path too, as in https://kubeflow.example.com/pipeline"
        elif transient:
            sentence = f"{self._host} failed to {what} ({status}){words}"
            remedy = "Try again; if the error stays, read the log of its deployment ml-pipeline"
        else:
            sentence, remedy = f"{self._host} refuses to {what} ({status}){words or f': {error.reason}'}", ""
        return ApiError(sentence, status=status, transient=transient, remedy=remedy, cause=said)


def connect(
    namespace: str,
    host: str | None = None,
    token_file: str | None = None,
    cookie_file: str | None = None,
    ui: str = "",
) -> Api:
    """Connects to Kubeflow Pipelines at `host`, or KF_PIPELINES_ENDPOINT, or the cluster of this pod or of kubectl.

    KFP's client logs in: with the token in `token_file` or in a pod's KF_PIPELINES_SA_TOKEN_PATH, which it reads for
    each request, with the cookie in `cookie_file`, or with ~/.config/kfp/context.json.

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
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # the client sets WARNING, which prints each retry
    if said.getvalue():  # it prints that there is no kubeconfig
        raise UserError(
            "the address of Kubeflow Pipelines is unknown", remedy="Give --host, or set KF_PIPELINES_ENDPOINT"
        )
    return Api(client, namespace, host, ui)


def where(name: str, value: str) -> str:
    """Returns the filter of the API's lists for items with `value` in the field `name`."""
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
        raise UserError(f"{path} cannot be read: {error.strerror}", value=path) from error


def _said(body: Any) -> str:
    """Returns the message in the server's JSON. Of nested messages, the end is the cause."""
    try:
        values = json.loads(body)
        text = values.get("message") or values.get("error_message") or values.get("error") or ""
    except (TypeError, ValueError, AttributeError):
        return ""
    return " ".join(str(text).split())[-300:].rstrip(".")
