package wire

// Unmarshal is Decode without defaults and checks, to be compared with encoding/json.
func Unmarshal[T any](data []byte) (T, error) {
	var body T
	return body, unmarshal(data, &body)
}
