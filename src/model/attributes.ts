// One OpenTelemetry attribute, as the main thread handles it (resources, self-telemetry).

/** The value types that fdspan sends: string, integer (as bigint or safe number), boolean, strings. */
export type AttributeValue = string | bigint | number | boolean | readonly string[];

export type Attributes = Readonly<Record<string, AttributeValue>>;
