"""A client of TensorFlow Serving that needs no TensorFlow: volumes to a server, probabilities back."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError

from zoo import recipe, registry
from zoo.data.sizes import is_description
from zoo.entry import Entry
from zoo.errors import InputError
from zoo.segment import Network
from zoo.serving import messages

TOKEN_VARIABLE = "ZOO_SERVER_TOKEN"
DEADLINE = 120.0  # seconds for one answer
TRIES = 5
MEMORY = 4 * 2**30  # ours: bytes that a pass may take there; what needs more goes by tiles

_FIRST_WAIT = 0.5  # seconds; doubled each time, and spread, so that many clients do not come back at once
_MOST_BYTES = 2**31 - 1  # gRPC's own most; its default for answers is 4 MB
_OPTIONS = (
    ("grpc.max_send_message_length", _MOST_BYTES),
    ("grpc.max_receive_message_length", _MOST_BYTES),
    # a server that was restarted is found again while we try
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
)
_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
_STATES = {10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
_AVAILABLE = 30
_Code = grpc.StatusCode
_EXPORT = "export it by 'zoo export' of this version of cellzoo"


class Server:
    """A TensorFlow Serving at an address, asked through gRPC; may be used from several threads.

    Parameters
    ----------
    address
        ``host:port``; the port is gRPC's, 8500 where nobody changed it.
    deadline
        Seconds to wait for one answer.
    certificates
        PEM file of the root certificates that the server's is checked by; ``None`` for a connection that is
        not encrypted.
    token
        Sent as ``authorization: Bearer``, over encrypted connections only.

    Raises
    ------
    InputError
        For an address, certificates or a token that cannot be. Nothing is sent before the first question.
    """

    def __init__(
        self,
        address: str,
        *,
        deadline: float = DEADLINE,
        certificates: Path | None = None,
        token: str | None = None,
    ) -> None:
        host, _, port = address.rpartition(":")
        if not host or "/" in host or not (port.isdecimal() and 0 < int(port) < 65536):
            raise InputError(f"{address!r} is no address of a server: give host:port, such as localhost:8500")
        if not 0 < deadline < float("inf"):
            raise InputError(f"a deadline of {deadline:g} s cannot be: give seconds above 0")
        if token and certificates is None:
            raise InputError("a token would cross the network for all to read: give root certificates too")
        self.address = address
        self._deadline = deadline
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        if certificates is None:
            self._channel = grpc.insecure_channel(address, _OPTIONS)
        else:
            credentials = grpc.ssl_channel_credentials(_read_certificates(certificates))
            self._channel = grpc.secure_channel(address, credentials, _OPTIONS)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; questions that are under way end at once."""
        self._channel.close()

    def settings(self, name: str) -> tuple[dict[str, Any], int]:
        """Return what a model says of itself, and the version that said so.

        Parameters
        ----------
        name
            Of the model, as the server calls it.

        Raises
        ------
        InputError
            As :meth:`predict`; or for a model that 'zoo export' did not make.
        """
        outputs, version = self._predict(name, "settings", {"query": [b""]}, None)
        try:
            found = json.loads(outputs["settings"].ravel()[0])
            if isinstance(found, dict):
                return found, version
        except (KeyError, IndexError, TypeError, ValueError):
            pass
        raise InputError(f"model {name} at {self.address} does not tell its settings: {_EXPORT}")

    def predict(
        self, name: str, signature: str, inputs: Mapping[str, messages.Value], version: int | None = None
    ) -> dict[str, np.ndarray]:
        """Ask a model.

        Parameters
        ----------
        name, signature
            Of the model.
        inputs
            Name to a float32, uint8, int32 or int64 array, to bytes (a single string) or a list of bytes.
        version
            ``None`` for the newest.

        Returns
        -------
        dict
            Name to array; strings come as arrays of bytes.

        Raises
        ------
        InputError
            Where no answer comes: no server, model, version or signature, inputs that the model does not
            take, a deadline that has passed, memory that does not suffice.
        """
        return self._predict(name, signature, inputs, version)[0]

    def _predict(
        self, name: str, signature: str, inputs: Mapping[str, messages.Value], version: int | None
    ) -> tuple[dict[str, np.ndarray], int]:
        size = sum(messages.count_bytes(value) for value in inputs.values())
        if size > _MOST_BYTES - 2**16:
            raise InputError(f"a question of {size / 2**30:.1f} GiB is over gRPC's 2: give a smaller --tile")
        try:
            answer = self._ask(_PREDICT, messages.write_request(name, signature, version, inputs))
        except grpc.RpcError as fault:
            raise self._explain(fault, name, version) from None
        try:
            response = messages.Response.FromString(answer)
            del answer  # gRPC holds several copies of a message as it is
            outputs = {one.key: messages.read_tensor(one.value, one.key) for one in response.outputs}
        except (DecodeError, ValueError) as fault:
            what = f"model {name} at {self.address} gave no answer that can be read ({fault})"
            raise InputError(f"{what}: {_EXPORT}") from None
        return outputs, response.model_spec.version.value

    def _ask(self, method: str, request: bytes) -> bytes:
        """Send a message and return the answer's; tried again while the server cannot be reached."""
        ask = self._channel.unary_unary(method)  # bytes in, bytes out
        for number in range(1, TRIES + 1):
            try:
                return ask(request, timeout=self._deadline, metadata=self._metadata)
            except grpc.RpcError as fault:
                if fault.code() is not _Code.UNAVAILABLE or number == TRIES:
                    raise
            time.sleep(_FIRST_WAIT * 2 ** (number - 1) * random.uniform(0.5, 1.5))
        raise AssertionError("the last try returns or raises")

    def _explain(self, fault: Any, name: str, version: int | None) -> InputError:
        code, model = fault.code(), f"model {name} at {self.address}"
        said = next(iter((fault.details() or "").strip().splitlines()), "")[:300] or code.name
        match code:
            case _Code.UNAVAILABLE:
                return InputError(
                    f"no answer from a model server at {self.address} in {TRIES} tries ({said}): check "
                    "that it runs, the address, that the port is gRPC's (8500) and not REST's (8501), and "
                    "whether it wants an encrypted connection"
                )
            case _Code.NOT_FOUND:
                return self._explain_missing(name, version)
            case _Code.INVALID_ARGUMENT:
                return InputError(f"{model} does not take this input: {said}")
            case _Code.FAILED_PRECONDITION if "ignature" in said:
                return InputError(f"{model} has not what was asked ({said}): {_EXPORT}")
            case _Code.DEADLINE_EXCEEDED:
                return InputError(
                    f"{model} gave no answer within {self._deadline:g} s: give a longer --deadline or a "
                    "smaller --tile"
                )
            case _Code.RESOURCE_EXHAUSTED:
                return InputError(f"{model} has not the memory ({said}): give a smaller --tile")
            case _Code.UNAUTHENTICATED | _Code.PERMISSION_DENIED:
                return InputError(
                    f"{self.address} refuses us ({said}): check the token, of a file or in {TOKEN_VARIABLE}"
                )
            case _Code.UNIMPLEMENTED:
                return InputError(f"{self.address} is no TensorFlow Serving ({said}): check the address")
        return InputError(f"{model} failed with {code.name}: {said}")

    def _explain_missing(self, name: str, version: int | None) -> InputError:
        request = messages.StatusRequest(model_spec={"name": name}).SerializeToString()
        try:
            response = messages.StatusResponse.FromString(self._ask(_STATUS, request))
        except grpc.RpcError as fault:
            if fault.code() is not _Code.NOT_FOUND:
                return self._explain(fault, name, version)
            return InputError(
                f"{self.address} serves no model {name}: see its models.config, or export the model by "
                f"'zoo export {name}' into the folder that it serves"
            )
        found = {one.version: one for one in response.model_version_status}
        ready = [number for number in sorted(found) if found[number].state == _AVAILABLE]
        if version is not None and ready:
            there = ", ".join(map(str, ready))
            return InputError(
                f"{self.address} has no version {version} of {name}, but {there}: where a new one came "
                "in the middle, run again"
            )
        states = [
            f"version {number}: {_STATES.get(one.state, one.state)} {one.status.error_message[:200]}".rstrip()
            for number, one in sorted(found.items())
        ]
        return InputError(
            f"model {name} at {self.address} is not ready ({'; '.join(states)}): wait, or see the server's "
            "log"
        )


class RemoteModel:
    """A network on a server, called as a Keras model is; may be used from several threads.

    Parameters
    ----------
    server, name
        Where it is, and what it is called there.
    version
        The one that is asked, so that all tiles of a volume are answered by the same weights.
    """

    def __init__(self, server: Server, name: str, version: int) -> None:
        self._server, self._name, self._version = server, name, version

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        """Return the foreground probability of each voxel.

        Parameters
        ----------
        images : (N, Z, Y, X, 1) float32
            At the network's voxels and scale; of any size.

        Returns
        -------
        (N, Z, Y, X, 1) float32

        Raises
        ------
        InputError
            As :meth:`Server.predict`.
        """
        inputs = {"image": np.asarray(images, np.float32)}
        outputs = self._server.predict(self._name, "serving_default", inputs, self._version)
        probability = outputs.get("probability")
        if probability is None or probability.shape != images.shape:
            shapes = {name: output.shape for name, output in outputs.items()}
            raise InputError(
                f"model {self._name} at {self._server.address} answered {images.shape} by {shapes}: {_EXPORT}"
            )
        return probability


def open_remote(entry: Entry, server: Server) -> dict[str, Network]:
    """Return the networks that an entry needs, on a server.

    Parameters
    ----------
    entry
        A pipeline or a network; on the server, networks have their names in the registry.
    server
        Tells each network's recipe; nothing else is needed here.

    Returns
    -------
    dict
        Entry name to network, as :func:`zoo.weights.open_networks` returns them. Empty where none is needed.

    Raises
    ------
    InputError
        As :meth:`Server.settings`; or for a model of another entry, a recipe that is not known here, or an
        ensemble of detectors.
    """
    names = list(entry.networks.values())
    if any(registry.get(name).task == "instances_2d" for name in names):
        raise InputError(
            f"{entry.name} is an ensemble of detectors, which runs here only: leave out --server, or take "
            "another model"
        )
    return {name: _open(name, server) for name in names}


def read_token(file: Path | None = None) -> str | None:
    """Return the token for a server: a file's content, else the variable ``ZOO_SERVER_TOKEN``, else ``None``.

    Raises
    ------
    InputError
        For a file that cannot be read, or a content that is not one word.
    """
    token = os.environ.get(TOKEN_VARIABLE, "") if file is None else _read(file).decode("utf-8", "replace")
    token = token.strip()
    if any(not "!" <= letter <= "~" for letter in token) or (file is not None and not token):
        raise InputError(f"{file or TOKEN_VARIABLE} holds no token: a token is one word of ASCII characters")
    return token or None


def _open(name: str, server: Server) -> Network:
    settings, version = server.settings(name)
    where = f"model {name} at {server.address}"
    if settings.get("entry") != name:
        raise InputError(f"{where} was exported from {settings.get('entry')}, not from {name}: {_EXPORT}")
    entry = registry.get(name)
    try:
        its = recipe.change(entry.recipes["default"], settings["recipe"])
    except (KeyError, AttributeError, InputError) as fault:
        raise InputError(f"{where} has a recipe that is not known here ({fault}): {_EXPORT}") from None
    objects = settings.get("objects")
    if objects is not None and not is_description(objects):
        raise InputError(f"{where} tells sizes that cannot be read: {_EXPORT}")
    origin = f"version {version} at {server.address}, weights {str(settings.get('weights_sha256'))[:12]}"
    model = RemoteModel(server, name, version)
    return Network(entry, its, model, origin, settings.get("threshold"), MEMORY, objects)


def _read_certificates(file: Path) -> bytes:
    content = _read(file)
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise InputError(f"{file} holds no certificate: give a PEM file")
    return content


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as fault:
        raise InputError(f"cannot read {file}: {fault.strerror}") from None
