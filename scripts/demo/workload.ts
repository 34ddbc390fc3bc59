// What the demonstration's container does: the file habits of a small service, over and over, as a user
// who may not read everything.

/** Run by busybox's sh as uid 1000. Ends by itself after an hour, should the demo be killed. */
export const WORKLOAD_SCRIPT = `
mkdir -p /tmp/app/orders && cd /tmp/app
echo 'level=info' > app.conf
turn=0
while [ $turn -lt 3600 ]; do
  turn=$((turn + 1))
  read -r level < app.conf
  echo "order $turn $level" > orders/order-$turn.json
  cat orders/order-$turn.json >> access.log
  exec 3> session.lock
  cp orders/order-$turn.json last-order.json
  grep -c order access.log > stats.txt
  cat /etc/hosts /etc/passwd > /dev/null
  cat /etc/shadow 2> /dev/null
  sleep 0.4
  exec 3>&-
  rm -f orders/order-$turn.json
  sleep 0.6
done
`;
