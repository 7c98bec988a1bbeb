// The compiled half of Asio, once for every program.
#include <boost/asio/impl/src.hpp>
