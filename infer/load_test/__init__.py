"""How a model answers many requests: closed loop, arrivals at a rate, MLPerf LoadGen."""
