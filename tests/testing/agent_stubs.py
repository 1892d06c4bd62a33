# SPDX-License-Identifier: Apache-2.0
"""gRPC stubs of the API, generated where they are needed. For the system's interpreter, which has gRPC."""

import glob
import importlib
import os
import subprocess
import sys

PROTOS = os.environ["BROOD_SOURCE_DIR"] + "/protos"


class AgentStubs:
    """One connection to an agent, with the messages as `jobs` and `hosts`, and both services."""

    def __init__(self, folder, socket_path):
        stubs = os.path.join(folder, "stubs")
        if not os.path.exists(stubs):
            os.mkdir(stubs)
            files = [os.path.relpath(file, PROTOS) for file in glob.glob(PROTOS + "/brood/v1/*.proto")]
            subprocess.run(["protoc", "-I", PROTOS, "--python_out=" + stubs, "--grpc_out=" + stubs,
                            "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin", *files], check=True, timeout=60)
        sys.path.insert(0, stubs)
        self.grpc = importlib.import_module("grpc")
        self.jobs = importlib.import_module("brood.v1.job_service_pb2")
        self.hosts = importlib.import_module("brood.v1.host_service_pb2")
        self.channel = self.grpc.insecure_channel("unix:" + socket_path, options=[("grpc.max_send_message_length", -1)])
        self.job_service = importlib.import_module("brood.v1.job_service_pb2_grpc").JobServiceStub(self.channel)
        self.host_service = importlib.import_module("brood.v1.host_service_pb2_grpc").HostServiceStub(self.channel)

    def close(self):
        self.channel.close()

    def request(self, job_id, argv=None, task=None, mode=0):
        """A RunJobsRequest of one job, with its output."""
        request = self.jobs.RunJobsRequest(include_output=True)
        job = request.jobs.add(job_id=job_id)
        if argv:
            job.spec.command.argv.extend(word.encode() for word in argv)
        else:
            job.spec.call.task = task[0]
            for word in task[1:]:
                job.spec.call.arguments.add(word=word)
        job.spec.mode = mode
        return request

    def run(self, *arguments, timeout=20, **named):
        """The events of one job, to its end."""
        events = []
        for response in self.job_service.RunJobs(iter([self.request(*arguments, **named)]), timeout=timeout):
            for accepted in response.accepted:
                assert accepted.error_code == 0, accepted.error_message
            events.extend(response.events)
        return events
