/**
 * Configuration of the peers, set for safety first and then for speed: QoS 1, persistent sessions, acknowledged only when
 * the output has it, Kafka with acks from all. Site and device come from the topic and the fields from the payload, so
 * that what is stored has the shape of ours.
 */
import { userInfo } from 'node:os';

/** Read together, written together; both must be raised for more than 10,000 messages a second. */
const agent = `[agent]
  omit_hostname = true
  flush_interval = "200ms"
  metric_batch_size = 5000
  metric_buffer_limit = 500000
`;
const maxUndelivered = 20_000;

export interface InfluxTarget {
  readonly url: string;
  readonly token: string;
  readonly org: string;
  readonly bucket: string;
}

/** Everything that Mosquitto can do to keep what it has acknowledged: its database goes to disk every second. */
export function mosquittoConfig(port: number, folder: string): string {
  return `user ${userInfo().username}
listener ${port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location ${folder}/
autosave_interval 1
max_inflight_messages 1000
max_queued_messages 0
log_type error
log_type warning
`;
}

export function telegrafConfig(input: string, output: string): string {
  return [agent, input, output].join('\n');
}

export function fromMqtt(port: number): string {
  return `[[inputs.mqtt_consumer]]
  servers = ["tcp://127.0.0.1:${port}"]
  topics = ["iot/+/+/telemetry"]
  topic_tag = ""
  qos = 1
  persistent_session = true
  client_id = "telegraf"
  max_reconnect_interval = "2s"
  max_undelivered_messages = ${maxUndelivered}
  data_format = "json"
  json_time_key = "ts"
  json_time_format = "unix_ms"
  fieldexclude = ["seq"]
  [[inputs.mqtt_consumer.topic_parsing]]
    topic = "iot/+/+/telemetry"
    measurement = "_/_/_/measurement"
    tags = "_/site/device/_"
`;
}

export function toKafka(brokers: string, topic: string): string {
  return `[[outputs.kafka]]
  brokers = ["${brokers}"]
  version = "2.8.0"
  topic = "${topic}"
  routing_tag = "device"
  required_acks = -1
  data_format = "influx"
`;
}

export function fromKafka(brokers: string, topic: string): string {
  return `[[inputs.kafka_consumer]]
  brokers = ["${brokers}"]
  kafka_version = "2.8.0"
  topics = ["${topic}"]
  consumer_group = "telegraf"
  offset = "oldest"
  max_undelivered_messages = ${maxUndelivered}
  data_format = "influx"
`;
}

export function toInflux({ url, token, org, bucket }: InfluxTarget): string {
  return `[[outputs.influxdb_v2]]
  urls = ["${url}"]
  token = "${token}"
  organization = "${org}"
  bucket = "${bucket}"
`;
}
