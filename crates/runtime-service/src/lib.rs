//! AgentService: the HTTP face of a runtime, and RemoteRuntime, its client.
