"""What a server says of itself: GetServer, health, reflection, metrics, its side port."""

from __future__ import annotations

import re

import grpc
import pytest
import wire
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from reference import blobs
from server import Server
from wire import Client, refused, t

SERVICES = tuple(f"bary.v1.{s}Service" for s in ("Clustering", "Dataset", "Job", "Model", "Server"))
X = blobs(500, 2, 3)


@pytest.mark.smoke
def test_get_server_says_what_it_is(bary: Client) -> None:
    got = bary.server.GetServer(wire.server.GetServerRequest())
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", got.version)
    assert got.volatile_datasets
    assert not got.draining
    assert got.threads >= 1
    assert got.threads_source
    assert got.memory_budget_bytes > 0
    assert got.memory_source
    assert got.numerics_version == 1
    assert got.algorithms
    cpu = [d for d in got.devices if d.state == "OK"]
    assert cpu
    assert cpu[0].isa
    assert cpu[0].threads >= 1


def test_get_server_lists_every_limit(bary: Client) -> None:
    got = {limit.name: limit for limit in bary.server.GetServer(wire.server.GetServerRequest()).limits}
    rows = re.findall(r"LIMIT\((\w+),\s+(\d+),", (wire.ROOT / "proto/limits.h").read_text())
    assert rows
    for name, preset in rows:
        assert got[name].value == int(preset)
        assert got[name].unit
        assert got[name].help


@pytest.mark.smoke
def test_health_serves_each_service_by_name(bary: Client) -> None:
    stub = health_pb2_grpc.HealthStub(bary.channel)
    for service in ("", *SERVICES):
        assert stub.Check(health_pb2.HealthCheckRequest(service=service)).status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(health_pb2.HealthCheckRequest(service="no.such.Service"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_health_watch_tells_the_state_at_once(bary: Client) -> None:
    stub = health_pb2_grpc.HealthStub(bary.channel)
    stream = stub.Watch(health_pb2.HealthCheckRequest(service=""), timeout=20)
    assert next(stream).status == health_pb2.HealthCheckResponse.SERVING
    stream.cancel()
    stream = stub.Watch(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=20)
    assert next(stream).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    stream.cancel()


def test_reflection_alone_is_enough_to_fit(bary: Client) -> None:
    """No stub, no .proto: everything that the call needs comes from the server."""
    database = ProtoReflectionDescriptorDatabase(bary.channel)
    assert set(SERVICES) <= set(database.get_services())
    pool = descriptor_pool.DescriptorPool(database)
    method = pool.FindServiceByName("bary.v1.ClusteringService").FindMethodByName("Fit")
    ask, answer = (message_factory.GetMessageClass(m) for m in (method.input_type, method.output_type))
    request = ask(n_clusters=3)
    request.source.matrix.MergeFromString(wire.matrix(X).SerializeToString())
    request.options.wait.seconds = 10
    call = bary.channel.unary_unary(
        "/bary.v1.ClusteringService/Fit", request_serializer=ask.SerializeToString, response_deserializer=answer.FromString
    )
    got = call(request, timeout=20)
    assert got.state == t.JOB_STATE_SUCCEEDED
    assert len(got.fit.sizes) == 3


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_answers_both_versions(bary: Client, version: str) -> None:
    call = bary.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_by_filename="bary/v1/types.proto"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="bary.v1.ClusteringService.Fit"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="bary.v1.Matrix"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.such.Thing"),
    ]
    listed, by_name, by_method, by_message, missing = list(call(iter(asked), timeout=20))
    names = {s.name for s in listed.list_services_response.service}
    assert {*SERVICES, "grpc.health.v1.Health"} <= names
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(r.file_descriptor_response.file_descriptor_proto[0])
        for r in (by_name, by_method, by_message)
    ]
    assert [f.name for f in files] == ["bary/v1/types.proto", "bary/v1/clustering_service.proto", "bary/v1/types.proto"]
    assert missing.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_the_stubs_of_our_tree_are_those_of_the_server(bary: Client) -> None:
    _ = reflection_pb2_grpc
    pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(bary.channel))
    for name in SERVICES:
        theirs = pool.FindServiceByName(name)
        module = getattr(wire, name.split(".")[-1].removesuffix("Service").lower())
        ours = module.DESCRIPTOR.services_by_name[name.split(".")[-1]]
        assert [m.name for m in theirs.methods] == [m.name for m in ours.methods]


def test_an_unknown_method_is_refused_by_name(bary: Client) -> None:
    call = bary.channel.unary_unary("/bary.v1.ClusteringService/Nothing", request_serializer=bytes, response_deserializer=bytes)
    with refused("METHOD_NOT_FOUND", "method '/bary.v1.ClusteringService/Nothing' does not exist on this server"):
        call(b"", timeout=10)


def test_metrics_are_those_of_the_table(bary: Client, shared: Server) -> None:
    bary.fit(X, 3)
    code, page = shared.get("/metrics")
    assert code == 200
    rows = re.findall(r"^METRIC\((\w+), (\w+),", (wire.ROOT / "host/metrics/metrics.def").read_text(), re.MULTILINE)
    for name, kind in rows:
        assert f"# TYPE bary_{name} {kind.lower()}" in page, name
    told = set(re.findall(r"^# TYPE bary_(\w+)", page, re.MULTILINE))
    assert told == {name for name, _ in rows}
    assert 'method="/bary.v1.ClusteringService/Fit"' in page or 'method="ClusteringService/Fit"' in page or "Fit" in page


def test_calls_and_jobs_are_counted(bary: Client, shared: Server) -> None:
    before = shared.metric("rpc_requests_total"), shared.metric("jobs_total")
    for _ in range(3):
        bary.fit(X, 3)
    assert shared.metric("jobs_total") >= before[1] + 3
    assert shared.metric("rpc_requests_total") >= before[0] + 3


def test_the_side_port_tells_life_and_readiness(shared: Server) -> None:
    assert shared.get("/livez")[0] == 200
    assert shared.get("/readyz")[0] == 200
    assert shared.get("/nothing")[0] == 404


def test_a_request_id_comes_back(bary: Client) -> None:
    _, call = bary.server.GetServer.with_call(wire.server.GetServerRequest(), metadata=[("x-request-id", "abc-123")])
    seen = dict((*call.initial_metadata(), *call.trailing_metadata()))
    assert seen.get("x-request-id") == "abc-123"
    _, call = bary.server.GetServer.with_call(wire.server.GetServerRequest())
    seen = dict((*call.initial_metadata(), *call.trailing_metadata()))
    assert seen.get("x-request-id"), "one is made when none is given"
