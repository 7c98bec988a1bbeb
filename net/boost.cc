// The compiled halves of Asio's TLS and of Beast, once for every program (Asio's own:
// base/asio.cc).
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/beast/src.hpp>
