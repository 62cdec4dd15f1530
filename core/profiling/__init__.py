"""Figures of files and networks: parameters, MACs, size, latency, throughput, memory, energy."""

PROTOCOL_VERSION = 7
"""How things are measured; a change of the protocol raises it, so that older figures are not reused."""
