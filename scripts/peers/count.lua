-- For wrk: POST the body that every client sends, and print exact totals at the end (wrk's own output rounds them).
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = assert(io.open(os.getenv("PEERS_BODY"), "rb"))
wrk.body = file:read("*a")
file:close()

function done(summary)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.status
  print(string.format("requests=%d bytes=%d failed=%d", summary.requests, summary.bytes, failed))
end
